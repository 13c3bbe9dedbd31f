// ComfyUI's own mask editor, on a Load Image node that stands on no canvas.
import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { refreshMenus } from "../../shared/page.js";

const COMMAND = "Comfy.MaskEditor.OpenMaskEditor";

function viewAddress(name) {
    const [, path, type] = /^(.*?)(?: \[(\w+)\])?$/.exec(name);
    const at = path.lastIndexOf("/");
    const query = { filename: path.slice(at + 1), subfolder: path.slice(0, Math.max(at, 0)), type: type ?? "input" };
    return api.apiURL(`/view?${new URLSearchParams(query)}`);
}

export const hasHostEditor = () => (app.extensionManager.command.commands ?? []).some?.(({ id }) => id === COMMAND) ?? false;

// A menu that only this editor sees: it writes what it has saved into the value, and tells it in no other way in every version.
function menu(name, saved) {
    return {
        name: "image",
        type: "combo",
        options: { values: [name] },
        get value() {
            return name;
        },
        set value(value) {
            if (value !== name) saved(value);
        },
    };
}

// Opens it. name: of a picture in the input folder, its alpha channel the mask so far. saved: called with a promise of the
// saved file, a blob with the mask in its alpha channel.
export async function openHostEditor(name, saved) {
    await refreshMenus(); // a node whose menu is empty asks the server for the picture "undefined"
    const image = new Image();
    image.src = viewAddress(name);
    await image.decode();
    const node = LiteGraph.createNode("LoadImage");
    node.widgets = [menu(name, (value) => saved(fetch(viewAddress(value), { cache: "no-store" }).then((reply) => reply.blob())))];
    node.imgs = [image];
    node.images = [{ filename: name, subfolder: "", type: "input" }];
    const { canvas } = app;
    const before = canvas.selected_nodes; // the command works on what is selected
    canvas.selected_nodes = { [node.id]: node };
    try {
        await app.extensionManager.command.execute(COMMAND);
    } finally {
        canvas.selected_nodes = before;
    }
}
