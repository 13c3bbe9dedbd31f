// The pack's workflows in the template browser: in the order in which they are to be learned, which their names begin with.
// The server lists them as they lie on the disk. They open large enough to be read: from their upper left, where they begin,
// where the front end would show the whole of them with no words.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/").at(-2)); // /extensions/<folder of the pack>/…
const listTemplates = api.getWorkflowTemplates;

if (listTemplates) {
    api.getWorkflowTemplates = async function (...given) {
        const templates = await listTemplates.apply(this, given);
        templates?.[PACK]?.sort((one, other) => one.localeCompare(other, "en"));
        return templates;
    };
}

const MARK = "ace_readable"; // in files of the pack; what an artist saves has the artist's view instead
const LEAST_SCALE = 0.65; // below 0.57 the front end leaves words out
const CORNER = [100, 110]; // pixels, clear of the side bar and the tabs
const SETTLED_MS = 400; // the front end's own view comes a moment after the graph
let marked = false;

function makeReadable() {
    const { ds } = app.canvas;
    const positions = app.graph.nodes.map((node) => [node.pos[0], node.pos[1] - LiteGraph.NODE_TITLE_HEIGHT]);
    if (ds.scale >= LEAST_SCALE || !positions.length) return;
    ds.scale = LEAST_SCALE;
    ds.offset = [0, 1].map((side) => CORNER[side] / LEAST_SCALE - Math.min(...positions.map((position) => position[side])));
    app.canvas.setDirty(true, true);
}

app.registerExtension({
    name: "ACEEdit.Templates",
    beforeConfigureGraph(graph) {
        marked = Boolean(graph?.extra?.[MARK]);
        if (marked) delete graph.extra[MARK];
    },
    afterConfigureGraph() {
        if (marked) setTimeout(makeReadable, SETTLED_MS);
        marked = false;
    },
});
