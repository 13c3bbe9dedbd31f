// The pack's workflows in the template browser: in the order in which they are to be learned, which their names begin with.
// The server lists them as they lie on the disk. They open as large as their whole width allows, and never so small that the front
// end leaves words out: what does not fit then is further right.
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
const LEAST_SCALE = 0.6; // below 0.57 the front end leaves words out
const CORNER = [100, 110], MARGIN = 30; // pixels, clear of the bar of icons and the tabs
// The front end's own view comes a moment after the graph, on a busy machine later, and Nodes 2.0 measures nodes after that.
const EVERY_MS = 400, TIMES = 8;
const BY_HAND = ["pointerdown", "wheel", "keydown"];
let marked = false;
let timer = null;

// Of the canvas, in its pixels: left and top, right and bottom. It goes on under open panels at the sides.
function freePart(canvas) {
    const whole = canvas.getBoundingClientRect();
    const between = document.querySelector(".graph-canvas-panel")?.getBoundingClientRect() ?? whole;
    const left = Math.max(CORNER[0], between.left - whole.left + MARGIN);
    return [[left, CORNER[1]], [Math.min(whole.width, between.right - whole.left) - MARGIN, whole.height - MARGIN]];
}

function makeReadable() {
    const { canvas, ds } = app.canvas;
    const nodes = app.graph.nodes;
    if (!nodes.length) return;
    const corner = [Math.min(...nodes.map(({ pos }) => pos[0])), Math.min(...nodes.map(({ pos }) => pos[1] - LiteGraph.NODE_TITLE_HEIGHT))];
    const far = [0, 1].map((side) => Math.max(...nodes.map(({ pos, size }) => pos[side] + size[side])));
    const [start, end] = freePart(canvas);
    const fitting = Math.min(...[0, 1].map((side) => (end[side] - start[side]) / (far[side] - corner[side])));
    ds.scale = Math.min(1, Math.max(LEAST_SCALE, fitting));
    ds.offset = [0, 1].map((side) => start[side] / ds.scale - corner[side]);
    app.canvas.setDirty(true, true);
}

// Until the front end has come to rest, or somebody looks elsewhere by hand.
function keepReadable() {
    let left = TIMES;
    timer = setInterval(() => {
        makeReadable();
        left -= 1;
        if (!left) stop();
    }, EVERY_MS);
    for (const event of BY_HAND) window.addEventListener(event, stop, { capture: true, passive: true });
}

function stop() {
    clearInterval(timer);
    for (const event of BY_HAND) window.removeEventListener(event, stop, { capture: true });
}

app.registerExtension({
    name: "ACEEdit.Templates",
    beforeConfigureGraph(graph) {
        stop();
        marked = Boolean(graph?.extra?.[MARK]);
        if (marked) delete graph.extra[MARK];
    },
    afterConfigureGraph() {
        if (marked) keepReadable();
        marked = false;
    },
});
