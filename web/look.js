// Room to read: nodes start wide enough for their titles and menus, and Preview large enough for its words; tables of help pages
// wrap instead of being cut; what nodes say stays within them; and what an artist seldom needs is folded
// away on the canvas, too, where the front end does not do so by itself.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { make } from "./shared/dom.js";
import { inLanguage, isOurs, nodeById } from "./shared/page.js";
import { addButton, callAfter, growToFit, widgetOf } from "./shared/widgets.js";

const SIZES = {
    ACEDistil: [300, 0],
    ACEInpaint: [330, 0],
    ACELoadBundle: [300, 0],
    ACELoadEditNet: [400, 0],
    ACELoadModel: [410, 0],
    ACELoadTextEncoder: [420, 0],
    ACEOutpaint: [280, 0],
    ACEPreview: [520, 460],
    ACETrain: [300, 0],
};
const NARROWEST = [250, 0];
// Help pages, and what nodes say: the front end breaks its lines within words.
const STYLE = `.node-help-content td, .node-help-content th { white-space: normal; overflow-wrap: anywhere; }
.max-h-\\[200px\\].overflow-y-auto .break-all { word-break: normal; overflow-wrap: anywhere; }`;

// What a node says, as the front end shows it; numbers are pixels, or of lines.
const TEXT = { widget: "$$node-text-preview", line: 16, letter: 6, margins: 60, padding: 26, least: 2, most: 8 };
const MORE = "ace_more";
const TEXTS = { en: { more: "More settings", less: "Fewer settings" }, zh: { more: "更多设置", less: "收起设置" } };

const foldedOf = (node) => node.widgets?.filter((widget) => widget.options?.advanced) ?? [];

// The host's own way leaves a gap where they were. What shows a picture keeps its room for it.
function showFolded(node, shown) {
    node.showAdvanced = shown;
    for (const widget of foldedOf(node)) widget.hidden = !shown;
    widgetOf(node, MORE).label = shown ? inLanguage(TEXTS).less : inLanguage(TEXTS).more;
    node.setSize([node.size[0], Math.max(node.computeSize()[1], SIZES[node.comfyClass]?.[1] ?? 0)]);
    node.setDirtyCanvas(true, true);
}

function fold(node) {
    const folded = foldedOf(node);
    if (!folded.length) return;
    for (const widget of folded) widget.ownDefault = widget.value;
    const toggle = () => showFolded(node, !node.showAdvanced);
    addButton(node, MORE, toggle, { hidden: true }); // nodes of Vue have their own
    showFolded(node, false);
}

// A saved node shows what is set on it.
function unfold(node) {
    const folded = foldedOf(node);
    if (!folded.length) return;
    showFolded(node, Boolean(node.showAdvanced) || folded.some((widget) => widget.value !== widget.ownDefault));
}

// How high a text stands on the canvas, in pixels; the front end has room for two lines of any.
function textHeight(node, text) {
    const letters = (node.size[0] - TEXT.margins) / TEXT.letter;
    const lines = text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / letters)), 0);
    return TEXT.padding + TEXT.line * Math.min(TEXT.most, Math.max(TEXT.least, lines));
}

// On the canvas the front end adds the text below a node's other parts, and leaves the node as small as it was.
function growToText({ detail }) {
    const node = nodeById(detail.nodeId);
    if (LiteGraph.vueNodesMode || !isOurs(node?.constructor.nodeData)) return;
    requestAnimationFrame(() => {
        const shown = widgetOf(node, TEXT.widget);
        if (shown) shown.options.getMinHeight = () => textHeight(node, detail.text);
        growToFit(node);
    });
}

// Pictures, too, come into a node that is no higher for them.
function growWithWidgets(node) {
    callAfter(node, "addCustomWidget", () => {
        if (!LiteGraph.vueNodesMode) requestAnimationFrame(() => growToFit(node));
    });
}

app.registerExtension({
    name: "ACEEdit.Look",
    init() {
        api.addEventListener("progress_text", growToText);
    },
    setup() {
        document.head.append(make("style", { textContent: STYLE }));
    },
    nodeCreated(node) {
        if (!isOurs(node.constructor.nodeData)) return;
        const [width, height] = SIZES[node.comfyClass] ?? NARROWEST;
        node.setSize([Math.max(width, node.size[0]), Math.max(height, node.size[1])]); // a saved workflow sets its own after this
        fold(node);
        growWithWidgets(node);
    },
    loadedGraphNode(node) {
        if (isOurs(node.constructor.nodeData)) unfold(node);
    },
});
