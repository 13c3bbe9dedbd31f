// Widgets of a node: found by their names, added without being saved, and followed.
import { make } from "./dom.js";

const PANEL_MARGINS = 20; // pixels that the front end keeps above and below a panel together

export const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);

// Has something called after an object's own function of that name, with what that was given.
export function callAfter(object, name, react) {
    const before = object[name];
    object[name] = function (...given) {
        const result = before?.apply(this, given);
        react.apply(this, given);
        return result;
    };
}

// Has something called whenever the artist changes a widget.
export function onChosen(node, name, react) {
    const widget = widgetOf(node, name);
    if (widget) callAfter(widget, "callback", () => react());
}

export function removeWidget(node, name) {
    const widget = widgetOf(node, name);
    if (widget) node.removeWidget(widget);
}

// Makes a node as high as its widgets need, never lower than the artist has it.
export function growToFit(node) {
    node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
}

export function addButton(node, name, onclick, options = {}) {
    return unsaved(node.addWidget("button", name, null, onclick, { serialize: false, ...options }));
}

// A box of HTML below a node's widgets. height: of what is in it, in pixels, 0 for nothing; a function that is asked again
// whenever the node is laid out.
export function addPanel(node, name, properties, height, ...children) {
    const whole = () => (height() ? height() + PANEL_MARGINS : 0);
    const options = { serialize: false, hideOnZoom: false, getMinHeight: whole, getMaxHeight: whole };
    return unsaved(node.addDOMWidget(name, name, make("div", properties, ...children), options));
}

function unsaved(widget) {
    widget.serialize = false; // widgets are saved by their position
    return widget;
}
