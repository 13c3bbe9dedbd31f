// Train and Distil on the page: the loss curve while they run, and buttons that open what they have made. The server tells
// every page how a run goes; what a page missed it asks for, by the name on the node.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { COLOURS, curveImage } from "./shared/curve.js";
import { make } from "./shared/dom.js";
import { BUTTONS_HEIGHT, buttonRow, showNotice } from "./shared/notice.js";
import { fetchJson, findNodes, inLanguage, nodeById, openWorkflow, refreshFiles, refreshMenus, showError } from "./shared/page.js";
import { addPanel, fillPanel, isWired, onChosen, widgetOf } from "./shared/widgets.js";

const KINDS = { ACETrain: "train", ACEDistil: "distil" };
const NAME = "name";
const PANEL = "ace_run";
const SAID = "$$node-text-preview"; // the front end's own widget for a node's text
const CURVE_HEIGHT = 112; // pixels, with its legend
const TEXTS = {
    en: {
        openWorkflow: "Open workflow",
        openReport: "Open report",
        training: "training loss",
        heldOut: "loss on held-out pairs",
        done: (name) => `“${name}” is trained`,
        missing: (name) => `The workflow ${name} could not be opened: it is no longer among your workflows. Distil again to get it back.`,
    },
    zh: {
        openWorkflow: "打开工作流",
        openReport: "打开报告",
        training: "训练损失",
        heldOut: "留出样本的损失",
        done: (name) => `“${name}”训练完成`,
        missing: (name) => `无法打开工作流 ${name}：它已不在你的工作流中。重新蒸馏即可恢复。`,
    },
};

const runRoute = (kind, name) => `/ace/runs/${kind}/${encodeURIComponent(name)}`;

// What a run has made, as [label, what a click does, whether more is chosen then] each.
function actions({ kind, name, workflow, report }) {
    const texts = inLanguage(TEXTS);
    const open = () => openWorkflow(workflow).catch(() => showError(texts.missing(workflow)));
    const show = () => window.open(api.apiURL(`${runRoute(kind, name)}/report/`), "_blank");
    return [...(workflow ? [[texts.openWorkflow, open]] : []), ...(report ? [[texts.openReport, show, true]] : [])];
}

// The colours of the curve in words, and the latest losses.
function legend({ training, held_out: heldOut }) {
    const texts = inLanguage(TEXTS);
    const entry = (colour, text, points) =>
        make("div", { style: `color: ${colour}`, textContent: `${text} ${points.at(-1)[1].toFixed(4)}` });
    const entries = [entry(COLOURS.training, texts.training, training)];
    if (heldOut.length) entries.push(entry(COLOURS.heldOut, texts.heldOut, heldOut));
    const style = "font: 11px/16px system-ui, sans-serif; white-space: nowrap; height: 32px; overflow: hidden";
    return make("div", { style }, ...entries);
}

// run: null for none of that name.
function showRun(node, run) {
    const image = run && curveImage(run.curve, run.steps, inLanguage(TEXTS).training);
    const buttons = run ? actions(run) : [];
    const parts = [...(buttons.length ? [buttonRow(buttons)] : []), ...(image ? [image, legend(run.curve)] : [])];
    fillPanel(node, PANEL, (buttons.length ? BUTTONS_HEIGHT : 0) + (image ? CURVE_HEIGHT : 0), parts);
}

const trainingNodes = () => findNodes((node) => node.comfyClass in KINDS);

const nameOf = (node) => widgetOf(node, NAME);

// Whether a run is that of a node, and not of one with the same number in another workflow. A name may come by a wire.
function isRunOf(node, { kind, name }) {
    return KINDS[node.comfyClass] === kind && (isWired(node, NAME) || nameOf(node)?.value.trim() === name);
}

// opened: the node has just come, so that it says nothing yet.
async function catchUp(node, opened = false) {
    const kind = KINDS[node.comfyClass];
    const name = nameOf(node)?.value;
    if (!node.graph || !name) return;
    const run = await fetchJson(runRoute(kind, name)).catch(() => null);
    if (nameOf(node)?.value !== name) return; // typed on meanwhile
    showRun(node, run && { ...run, kind, name });
    const isOutermost = node.graph === (app.rootGraph ?? app.graph); // one inside of a subgraph has another id for the host
    if (!isOutermost || isWired(node, NAME)) return;
    const isToSay = opened ? run?.verdict : widgetOf(node, SAID); // what it said was about the run of another name
    const text = run?.verdict || " "; // of an empty one the front end takes no notice
    if (isToSay) api.dispatchCustomEvent("progress_text", { nodeId: String(node.id), text });
}

// A graph that first captures a dataset and then learns from it names one that is not there yet. That is no error.
function awaitDataset(node) {
    const { options, value } = widgetOf(node, "dataset_name") ?? {};
    if (Array.isArray(options?.values) && !options.values.includes(value)) options.values = [...options.values, value];
}

// Where Vue draws nodes, the last preview of a run stays beside what the node shows in the end. Only the front end's own store
// can take it away; without that store the sheet is there twice, and nothing else happens.
function dropPreview(id) {
    const stores = document.getElementById("vue-app")?.__vue_app__?.config.globalProperties.$pinia?._s;
    stores?.get("nodeOutput")?.revokePreviewsByExecutionId?.(id);
}

function onExecuted({ detail: { node: id, output } }) {
    if (output?.images?.length && nodeById(id)?.comfyClass in KINDS) dropPreview(id);
}

async function onRun({ detail: run }) {
    const node = nodeById(run.node);
    if (node && isRunOf(node, run)) showRun(node, run);
    if (run.running) return;
    await refreshFiles().catch((error) => console.warn("ACE Edit: the list of workflows could not be refreshed.", error));
    showNotice(inLanguage(TEXTS).done(run.name), run.verdict, actions(run));
}

app.registerExtension({
    name: "ACEEdit.Training",
    setup() {
        api.addEventListener("ace.training", onRun);
        api.addEventListener("executed", onExecuted);
        api.addEventListener("ace.files", refreshMenus);
    },
    nodeCreated(node) {
        if (!(node.comfyClass in KINDS)) return;
        addPanel(node, PANEL, "ace-run");
        onChosen(node, NAME, () => catchUp(node));
        setTimeout(() => catchUp(node, true)); // once it has its place in the graph, and its name
    },
    afterConfigureGraph() {
        for (const node of trainingNodes()) {
            awaitDataset(node);
            catchUp(node, true);
        }
    },
    refreshComboInNodes() {
        trainingNodes().forEach(awaitDataset);
    },
});
