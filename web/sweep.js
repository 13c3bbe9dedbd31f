// A stop button on ACE Edit: Sweep while a sweep runs. The server tells every page how the sweep goes, so the button is
// there also in a second window, and after a reload together with what was told last.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const NODE = "ACESweep";
const BUTTON = "stop sweep";
const TEXTS = {
    en: {
        stop: "■ Stop sweep",
        stopping: "Stopping…",
        failed: (reason) => `The sweep could not be stopped: ${reason}. Cancel its run in the queue instead.`,
        answered: (status) => `the server answered ${status}`,
    },
    zh: {
        stop: "■ 停止批量捕获",
        stopping: "正在停止…",
        failed: (reason) => `无法停止批量捕获：${reason}。请改为在队列中取消它的任务。`,
        answered: (status) => `服务器返回 ${status}`,
    },
};
let sweep = { running: false, stopping: false, text: "", node: "" };

function texts() {
    return TEXTS[app.extensionManager.setting.get("Comfy.Locale")] ?? TEXTS.en;
}

function sweepNodes(graph = app.rootGraph ?? app.graph) {
    return (graph?.nodes ?? []).flatMap((node) => [
        ...(node.comfyClass === NODE ? [node] : []),
        ...(node.subgraph ? sweepNodes(node.subgraph) : []),
    ]);
}

function showButton(node) {
    let button = node.widgets?.find((widget) => widget.name === BUTTON);
    if (!sweep.running) {
        if (button) node.removeWidget(button);
    } else {
        if (!button) {
            button = node.addWidget("button", BUTTON, null, stop, { serialize: false });
            button.serialize = false; // widgets are saved by their position
            node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
        }
        button.label = sweep.stopping ? texts().stopping : texts().stop;
        button.disabled = sweep.stopping;
    }
    node.setDirtyCanvas(true, true);
}

function showButtons() {
    sweepNodes().forEach(showButton);
}

// What a page that was away has missed. While it is there, the front end itself shows what the server sends.
function showText() {
    const node = sweepNodes().find((node) => String(node.id) === sweep.node);
    if (node && sweep.text) api.dispatchCustomEvent("progress_text", { nodeId: sweep.node, text: sweep.text });
}

async function catchUp() {
    try {
        const reply = await api.fetchApi("/ace/sweep");
        if (reply.ok) sweep = await reply.json();
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
        const detail = texts().failed(error.message);
        app.extensionManager.toast.add({ severity: "error", summary: "ACE Edit", detail, life: 10000 });
    }
}

app.registerExtension({
    name: "ACEEdit.Sweep",
    async setup() {
        api.addEventListener("ace.sweep", ({ detail }) => {
            sweep = detail;
            showButtons();
        });
        api.addEventListener("reconnected", catchUp);
        await catchUp();
    },
    nodeCreated(node) {
        if (node.comfyClass === NODE) setTimeout(showButtons); // once it has its place in the graph
    },
    afterConfigureGraph() {
        setTimeout(() => {
            showButtons();
            showText();
        });
    },
});
