// On ACE Edit: Sweep while a sweep runs: how far it is, its last pair, and a stop button. The server tells every page how
// the sweep goes, so the button is there also in a second window, and after a reload together with what was told last.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { make } from "./shared/dom.js";
import { showNotice } from "./shared/notice.js";
import { fetchJson, findNodes, inLanguage, nodeById, showError } from "./shared/page.js";
import { addButton, addPanel, growToFit, removeWidget, widgetOf } from "./shared/widgets.js";

const NODE = "ACESweep";
const BUTTON = "stop sweep";
const PANEL = "ace_sweep";
const PANEL_HEIGHT = 124; // pixels; what is higher would lie over the button below
const TEXTS = {
    en: {
        stop: "■ Stop sweep",
        stopping: "Stopping…",
        pair: "the last pair: before and after",
        failed: (reason) => `The sweep could not be stopped: ${reason}. Cancel its run in the queue instead.`,
        answered: (status) => `the server answered ${status}`,
    },
    zh: {
        stop: "■ 停止批量捕获",
        stopping: "正在停止…",
        pair: "最近的一对：编辑前和编辑后",
        failed: (reason) => `无法停止批量捕获：${reason}。请改为在队列中取消它的任务。`,
        answered: (status) => `服务器返回 ${status}`,
    },
};
let sweep = { running: false, stopping: false, text: "", node: "", done: 0, total: 0, pair: "", failed: false };

const texts = () => inLanguage(TEXTS);

const isSweep = (node) => node.comfyClass === NODE;

function showButton(node) {
    if (!sweep.running) {
        removeWidget(node, BUTTON);
    } else {
        let button = widgetOf(node, BUTTON);
        if (!button) {
            button = addButton(node, BUTTON, stop);
            growToFit(node);
        }
        button.label = sweep.stopping ? texts().stopping : texts().stop;
        button.disabled = sweep.stopping;
    }
    node.setDirtyCanvas(true, true);
}

function addSweepPanel(node) {
    removeWidget(node, BUTTON); // it comes and goes, so it belongs below
    const bar = make("progress", { style: "width: 100%; height: 10px; accent-color: #4caf7d" });
    const picture = make("img", { style: "display: block; max-width: 100%; height: 104px; object-fit: contain" });
    const look = { className: "ace-sweep", style: `min-height: ${PANEL_HEIGHT}px` };
    const widget = addPanel(node, PANEL, look, () => PANEL_HEIGHT, bar, picture);
    growToFit(node);
    return widget;
}

// How far the sweep is and its last pair, on the node that runs it; they stay when it has ended.
function showPanel(node) {
    if (String(sweep.node) === "" || nodeById(sweep.node) !== node || !sweep.total) return;
    const widget = widgetOf(node, PANEL) ?? addSweepPanel(node);
    const [bar, picture] = widget.element.children;
    Object.assign(bar, { max: sweep.total, value: sweep.done, title: `${sweep.done} / ${sweep.total}` });
    picture.hidden = !sweep.pair;
    if (sweep.pair && picture.alt !== sweep.pair) {
        Object.assign(picture, { alt: sweep.pair, title: texts().pair, src: api.apiURL(`/ace/sweep/pair?${sweep.pair}`) });
    }
}

function showButtons() {
    for (const node of findNodes(isSweep)) {
        showPanel(node);
        showButton(node);
    }
}

function showEnd() {
    const [title, ...more] = sweep.text.split("\n");
    showNotice(title[0].toUpperCase() + title.slice(1), more.slice(0, 2).join("\n"), [], sweep.failed);
}

// What a page that was away has missed. While it is there, the front end itself shows what the server sends.
function showText() {
    if (sweep.text && nodeById(sweep.node)?.comfyClass === NODE) api.dispatchCustomEvent("progress_text", { nodeId: sweep.node, text: sweep.text });
}

async function catchUp() {
    try {
        sweep = (await fetchJson("/ace/sweep")) ?? sweep;
    } catch (error) {
        console.warn("ACE Edit: the server does not say how the sweep goes.", error);
    }
    showButtons();
    showText();
}

async function stop() {
    try {
        const reply = await api.fetchApi("/ace/sweep/stop", { method: "POST" });
        if (!reply.ok) throw new Error(texts().answered(reply.status));
        if (!(await reply.json()).stopping) await catchUp();
    } catch (error) {
        showError(texts().failed(error.message));
    }
}

app.registerExtension({
    name: "ACEEdit.Sweep",
    async setup() {
        api.addEventListener("ace.sweep", ({ detail }) => {
            const ended = sweep.running && !detail.running && detail.total;
            sweep = detail;
            showButtons();
            if (ended) showEnd(); // what could not even begin is an error of the node
        });
        api.addEventListener("reconnected", catchUp);
        await catchUp();
    },
    nodeCreated(node) {
        if (isSweep(node)) setTimeout(showButtons); // once it has its place in the graph
    },
    afterConfigureGraph() {
        setTimeout(() => {
            showButtons();
            showText();
        });
    },
});
