// A picture of a conversation that is dropped on the canvas becomes a Load Image node there.
import { app } from "../../../scripts/app.js";
import { ServerError } from "../shared/server.js";
import { refreshMenus, showError } from "../shared/page.js";
import { server } from "./server.js";
import { errorText } from "./texts.js";

const TYPE = "application/x-ace-chat-picture";

// Has a dragged element carry a picture.
export function carry(event, chat, file) {
    event.dataTransfer.effectAllowed = "copy";
    event.dataTransfer.setData(TYPE, JSON.stringify({ chat, file }));
}

// The picture that a drop brings, as {chat, file}, or null.
export function carried(event) {
    try {
        return JSON.parse(event.dataTransfer.getData(TYPE) || "null");
    } catch {
        return null;
    }
}

export const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes(TYPE);

// at: where on the screen; the middle of the canvas for null.
export async function putOnCanvas({ chat, file }, at = null) {
    const name = await server.toInput(chat, file);
    await refreshMenus(); // the node's menu lists the picture then
    const node = LiteGraph.createNode("LoadImage");
    const { ds } = app.canvas;
    const box = app.canvas.canvas.getBoundingClientRect();
    const [x, y] = at ?? [box.left + box.width / 2, box.top + box.height / 2];
    node.pos = [(x - box.left) / ds.scale - ds.offset[0], (y - box.top) / ds.scale - ds.offset[1]];
    (app.canvas.graph ?? app.graph).add(node);
    const widget = node.widgets.find((one) => one.name === "image");
    const { values } = widget.options;
    if (Array.isArray(values) && !values.includes(name)) widget.options.values = [...values, name];
    widget.value = name;
    widget.callback?.(name);
    app.canvas.selectNode?.(node);
    node.setDirtyCanvas(true, true);
}

export function dropOnCanvas() {
    // Bars and panels lie within the canvas's own frame, and nodes that the front end draws as elements over it.
    const isCanvas = (target) => Boolean(target?.closest?.("#graph-canvas, [data-node-id]"));
    const onCanvas = (event) => carries(event) && isCanvas(event.target);
    document.addEventListener("dragover", (event) => onCanvas(event) && event.preventDefault(), true);
    document.addEventListener(
        "drop",
        (event) => {
            if (!onCanvas(event)) return;
            event.preventDefault();
            event.stopImmediatePropagation(); // the host would look for a workflow in it
            const picture = carried(event);
            const fail = (error) => showError(error instanceof ServerError ? errorText(error) : error.message);
            if (picture) putOnCanvas(picture, [event.clientX, event.clientY]).catch(fail);
        },
        true,
    );
}
