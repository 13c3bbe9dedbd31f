// Widgets of a node: found by their names, added without being saved, and followed.
import { make } from "./dom.js";

const PANEL_MARGINS = 20; // pixels that the front end keeps above and below a panel together

export const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);

// Whether a widget's value comes by a wire, and what the widget shows is not it.
export const isWired = (node, name) => Boolean(node.inputs?.some(({ widget, link }) => widget?.name === name && link != null));

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

// Makes a node as high as its widgets need, never lower than the artist has it.
export function growToFit(node) {
    node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
}

export function addButton(node, name, onclick, options = {}) {
    return unsaved(node.addWidget("button", name, null, onclick, { serialize: false, ...options }));
}

// A box of HTML below a node's widgets, empty until something is shown in it. It has to be there from the start: the front end
// of 0.8.0 does not draw a widget that comes to a node of Nodes 2.0 later.
export function addPanel(node, name, className) {
    const height = () => {
        const shown = widgetOf(node, name)?.panelHeight;
        return shown ? shown + PANEL_MARGINS : 0;
    };
    const options = { serialize: false, hideOnZoom: false, getMinHeight: height, getMaxHeight: height };
    const element = make("div", { className, style: "overflow: hidden" });
    return Object.assign(unsaved(node.addDOMWidget(name, name, element, options)), { panelHeight: 0 });
}

// Shows elements in a panel. height: of all of them, in pixels.
export function fillPanel(node, name, height, parts) {
    const widget = widgetOf(node, name);
    const { element } = widget;
    const same = parts.length === element.children.length && parts.every((part, index) => part === element.children[index]);
    if (!same) element.replaceChildren(...parts); // a button that is being pressed stays where it is
    if (height !== widget.panelHeight) {
        widget.panelHeight = height;
        element.style.minHeight = `${height}px`;
        if (height) growToFit(node);
    }
    node.setDirtyCanvas(true, true);
}

function unsaved(widget) {
    widget.serialize = false; // widgets are saved by their position
    return widget;
}
