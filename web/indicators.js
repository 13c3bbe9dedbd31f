// Shows on a picture whose word is "auto" which word it gets: the first one that no other picture of its Condition Unit has,
// in the order of the sockets. The unit itself does the same when it runs (ace/lcu/units.py).
import { app } from "../../scripts/app.js";
import { findNodes } from "./shared/page.js";
import { callAfter, onChosen, widgetOf } from "./shared/widgets.js";

const AUTO = "auto";
const INDICATOR = "indicator";
const UNIT = "ACEConditionUnit";
const PICTURE = "ACE_IMAGE";
const WORDS = ["{image}", ...Array.from({ length: 9 }, (_, index) => `{image${index + 1}}`)];
const SHOWN = /(?: → \{image\d?\})+$/;
const NEXT_ROUND = { ACERound: WORDS[0] }; // nodes without the widget

const wordOf = (node) => widgetOf(node, INDICATOR);
const isPicture = (node) => Boolean(wordOf(node)) && node.outputs?.[0]?.type === PICTURE;

// The words of a unit's pictures by their nodes, in the order of the sockets.
function wordsOf(unit) {
    const wired = unit.inputs.map((input, slot) => (input.type === PICTURE && input.link != null ? unit.getInputNode(slot) : null));
    const pictures = wired.filter(Boolean);
    const chosen = pictures.map((node) => wordOf(node)?.value ?? NEXT_ROUND[node.comfyClass]);
    const free = WORDS.filter((word) => !chosen.includes(word));
    return pictures.map((node, index) => [node, chosen[index] === AUTO ? free.shift() : chosen[index]]);
}

let waiting = false;

// Once after all the changes of this moment.
function update() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
        waiting = false;
        const words = new Map(findNodes((node) => node.comfyClass === UNIT).flatMap(wordsOf));
        for (const node of findNodes(isPicture)) {
            const widget = wordOf(node);
            // Front ends remember labels by the ids of nodes, also those of an earlier workflow's.
            const own = (widget.label ?? widget.name).replace(SHOWN, "");
            const word = widget.value === AUTO && words.get(node);
            const label = word ? `${own} → ${word}` : own;
            if (widget.label === label) continue;
            widget.label = label;
            node.setDirtyCanvas(true, true);
        }
    });
}

app.registerExtension({
    name: "ACEEdit.Indicators",
    nodeCreated(node) {
        if (node.comfyClass !== UNIT && !isPicture(node)) return;
        callAfter(node, "onConnectionsChange", update);
        onChosen(node, INDICATOR, update);
    },
    afterConfigureGraph: update,
});
