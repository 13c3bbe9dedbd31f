// A colour for each type of ACE Edit's sockets and wires, in both ways of drawing nodes: all others are grey.
import { app } from "../../scripts/app.js";
import { make } from "./shared/dom.js";

const COLOURS = {
    ACE_IMAGE: "#f29b4b", // near to IMAGE, and yet another
    ACE_UNIT: "#e8d44d",
    ACE_CONTEXT: "#c9e265",
    ACE_FIT: "#4fb8a8",
    ACE_PLACEMENT: "#7fc4d9",
    ACE_DATASET: "#d77fb3",
};

// For nodes of Vue, in a sheet of its own: a palette takes away the colours of types that it does not know.
function colourForVue() {
    const rules = Object.entries(COLOURS).map(([type, value]) => `--color-datatype-${type}: ${value};`);
    document.head.append(make("style", { textContent: `:root, body { ${rules.join(" ")} }` }));
}

// For the canvas a palette sets them to nothing, which here means ours.
function colourForCanvas(colours) {
    for (const [type, value] of Object.entries(COLOURS)) {
        let chosen = colours[type];
        Object.defineProperty(colours, type, {
            get: () => chosen || value,
            set: (next) => (chosen = next),
            configurable: true,
            enumerable: true,
        });
    }
}

app.registerExtension({
    name: "ACEEdit.Colours",
    setup() {
        colourForVue();
        colourForCanvas(LGraphCanvas.link_type_colors);
        colourForCanvas(app.canvas.default_connection_color_byType);
        app.canvas.setDirty(true, true);
    },
});
