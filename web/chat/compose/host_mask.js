// ComfyUI's own mask editor, on a Load Image node that stands on no canvas.
import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";

const COMMAND = "Comfy.MaskEditor.OpenMaskEditor";

const viewAddress = (name) => {
    const [, path, type = "input"] = /^(.*?)(?: \[(\w+)\])?$/.exec(name);
    const at = path.lastIndexOf("/");
    const query = { filename: path.slice(at + 1), subfolder: path.slice(0, Math.max(at, 0)), type };
    return api.apiURL(`/view?${new URLSearchParams(query)}`);
};

export const hasHostEditor = () => (app.extensionManager.command.commands ?? []).some?.(({ id }) => id === COMMAND) ?? false;

// Opens it. name: of a picture in the input folder. saved: called with the address of the picture with the mask in its alpha
// channel, once somebody has saved one.
export async function openHostEditor(name, saved) {
    const node = LiteGraph.createNode("LoadImage");
    const widget = node.widgets.find((one) => one.name === "image");
    const image = new Image();
    image.src = viewAddress(name);
    await image.decode();
    widget.callback = () => {};
    widget.value = name;
    node.imgs = [image];
    node.images = [{ filename: name.slice(name.lastIndexOf("/") + 1), subfolder: name.slice(0, name.lastIndexOf("/")), type: "input" }];
    widget.callback = (value) => saved(viewAddress(value));
    const { canvas } = app;
    const before = canvas.selected_nodes; // the command works on what is selected
    canvas.selected_nodes = { [node.id]: node };
    try {
        await app.extensionManager.command.execute(COMMAND);
    } finally {
        canvas.selected_nodes = before;
    }
}
