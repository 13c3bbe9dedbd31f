// Keeps the wires of growing sockets when a node is pasted, duplicated or unpacked from a subgraph. The front end then puts
// a node's original sockets first and those that have grown behind its widgets, but connects wires by the places that the
// sockets had. Here they get those places back before it does.
import { app } from "../../scripts/app.js";
import { isOurs } from "./shared/page.js";
import { callAfter } from "./shared/widgets.js";

const GROWING = "COMFY_AUTOGROW_V3";
// The front end counts growing sockets from 0. They are labelled with the word of the picture that is plugged in there.
const PICTURES = /^(?:more|references)\.image(\d+)$/;

function hasGrowing(nodeData) {
    const inputs = { ...nodeData.input?.required, ...nodeData.input?.optional };
    return isOurs(nodeData) && Object.values(inputs).some(([type]) => type === GROWING);
}

// Puts a node's sockets into the order of these names; others stay behind them.
function reorder(node, names) {
    const place = new Map(names.map((name, index) => [name, index]));
    const placeOf = (input) => place.get(input.name) ?? names.length;
    const ordered = [...node.inputs].sort((one, other) => placeOf(one) - placeOf(other));
    if (ordered.every((input, index) => input === node.inputs[index])) return;
    node.inputs.splice(0, ordered.length, ...ordered);
    ordered.forEach((input, index) => {
        const link = input.link == null ? null : node.graph?.links.get(input.link);
        if (link && link.target_id === node.id) link.target_slot = index;
    });
}

// While a node is restored, the front end tells it of every socket that it was connected, also of those without a wire.
// That of ComfyUI 0.8 takes these for wires that were cut, and a moment later moves the wires behind them up.
function withoutFalseChanges(node, restore) {
    const told = node.onConnectionsChange;
    const guard = function (side, slot, connected, link, ...more) {
        if (side === LiteGraph.INPUT && connected && !link) return;
        return told?.call(this, side, slot, connected, link, ...more);
    };
    node.onConnectionsChange = guard;
    try {
        restore();
    } finally {
        if (node.onConnectionsChange === guard) node.onConnectionsChange = told;
    }
}

// At once: what draws a socket looks at its label but once.
function label(input) {
    const number = input.name.match(PICTURES)?.[1];
    if (number !== undefined) input.label = `image${Number(number) + 1}`;
}

app.registerExtension({
    name: "ACEEdit.GrowingSockets",
    beforeRegisterNodeDef(nodeType, nodeData) {
        if (!hasGrowing(nodeData)) return;
        const configure = nodeType.prototype.configure;
        nodeType.prototype.configure = function (saved) {
            const names = (saved.inputs ?? []).map((input) => input.name); // the host rewrites them
            withoutFalseChanges(this, () => configure.call(this, saved));
            reorder(this, names);
        };
        callAfter(nodeType.prototype, "onInputAdded", label);
    },
});
