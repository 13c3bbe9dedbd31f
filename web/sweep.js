// On ACE Edit: Sweep while a sweep runs: how far it is, its last pair, and a stop button. The server tells every page how
// the sweep goes, so they are there also in a second window, and after a reload together with what was told last.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { make } from "./shared/dom.js";
import { BUTTONS_HEIGHT, buttonRow, showNotice } from "./shared/notice.js";
import { fetchJson, findNodes, inLanguage, nodeById, showError } from "./shared/page.js";
import { addPanel, fillPanel, isWired, widgetOf } from "./shared/widgets.js";

const NODE = "ACESweep";
const PANEL = "ace_sweep";
const BAR_HEIGHT = 20, PAIR_HEIGHT = 104; // pixels
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
let sweep = { running: false, stopping: false, text: "", node: "", folder: "", done: 0, total: 0, pair: "", failed: false };

const texts = () => inLanguage(TEXTS);

const isSweep = (node) => node.comfyClass === NODE;

// Whether the sweep is this node's. Another workflow may have a node of its number; one that has shown the sweep remains its
// node when another folder is chosen for the next.
function isOfSweep(node) {
    if (!node || !isSweep(node) || String(sweep.node) === "" || nodeById(sweep.node) !== node) return false;
    const { parts } = widgetOf(node, PANEL);
    return isWired(node, "folder") || [parts.folder, widgetOf(node, "folder").value].includes(sweep.folder);
}

function addSweepPanel(node) {
    addPanel(node, PANEL, "ace-sweep").parts = {
        buttons: buttonRow([[texts().stop, stop]]),
        bar: make("progress", { style: "width: 100%; height: 10px; accent-color: #4caf7d" }),
        picture: make("img", { style: "display: block; max-width: 100%; height: 104px; object-fit: contain" }),
    };
}

// How far the sweep is and its last pair, on the node that runs it, where they stay when it has ended. Any can stop it.
function showPanel(node) {
    const { parts } = widgetOf(node, PANEL);
    const { buttons, bar, picture } = parts;
    Object.assign(buttons.firstChild, { textContent: sweep.stopping ? texts().stopping : texts().stop, disabled: sweep.stopping });
    if (sweep.total && isOfSweep(node)) {
        parts.folder = sweep.folder;
        Object.assign(bar, { max: sweep.total, value: sweep.done, title: `${sweep.done} / ${sweep.total}` });
        if (!sweep.pair) picture.alt = "";
        else if (picture.alt !== sweep.pair) {
            Object.assign(picture, { alt: sweep.pair, title: texts().pair, src: api.apiURL(`/ace/sweep/pair?${sweep.pair}`) });
        }
    }
    const hasBar = bar.hasAttribute("max"); // a sweep of this node was told of
    const shown = [...(sweep.running ? [buttons] : []), ...(hasBar ? [bar] : []), ...(picture.alt ? [picture] : [])];
    const height = (sweep.running ? BUTTONS_HEIGHT : 0) + (hasBar ? BAR_HEIGHT : 0) + (picture.alt ? PAIR_HEIGHT : 0);
    fillPanel(node, PANEL, height, shown);
}

function showPanels() {
    findNodes(isSweep).forEach(showPanel);
}

function showEnd() {
    const [title, ...more] = sweep.text.split("\n");
    showNotice(title[0].toUpperCase() + title.slice(1), more.slice(0, 2).join("\n"), [], sweep.failed, "sweep");
}

// What a page that was away has missed. While it is there, the front end itself shows what the server sends.
function showText() {
    if (sweep.text && isOfSweep(nodeById(sweep.node))) api.dispatchCustomEvent("progress_text", { nodeId: sweep.node, text: sweep.text });
}

async function catchUp() {
    try {
        sweep = (await fetchJson("/ace/sweep")) ?? sweep;
    } catch (error) {
        console.warn("ACE Edit: the server does not say how the sweep goes.", error);
    }
    showPanels();
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
            showPanels();
            if (ended) showEnd(); // what could not even begin is an error of the node
        });
        api.addEventListener("reconnected", catchUp);
        await catchUp();
    },
    nodeCreated(node) {
        if (!isSweep(node)) return;
        addSweepPanel(node);
        setTimeout(showPanels); // once it has its place in the graph
    },
    afterConfigureGraph() {
        setTimeout(() => {
            showPanels();
            showText();
        });
    },
});
