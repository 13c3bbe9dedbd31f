// Sampler, Train and Distil start with what the bundle recommends, and follow when another bundle is chosen: as numbers, and
// only as long as these still are what some bundle or LoRA recommends. A number that the artist has typed stays. Beside a
// configuration of one's own the numbers are 0, which means: as it says. A Sampler takes what a LoRA recommends before that
// of the bundle, if it is the only one on the way and at full strength: nobody has measured how several do together.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { fetchJson, findNodes } from "./shared/page.js";
import { callAfter, onChosen, widgetOf } from "./shared/widgets.js";

const LOADERS = { ACELoadBundle: "bundle", ACELoadModel: "model_name" }; // with the widget that says which model
const SAMPLER = "ACESampler";
const TRAINERS = ["ACETrain", "ACEDistil"];
const SKIPPED = [2, 4]; // modes of nodes that are muted or bypassed
const STANDARD = "(standard)";
const LORA_LOADERS = ["LoraLoaderModelOnly", "LoraLoader"];
let bundles = {}; // by bundle, or file of a model, and node: widgets and values
const loras = {}; // by file, as far as they were met: the same
const asked = new Map(); // by file: a promise that this is what the file says now

const shows = (node, values) => Object.entries(values).every(([name, value]) => widgetOf(node, name)?.value === value);

const asConfigured = (values) => Object.fromEntries(Object.keys(values).map((name) => [name, 0]));

function recommend(node, bundle, lora) {
    const kind = node.comfyClass;
    const known = [...Object.values(bundles), ...Object.values(loras)].map((recommended) => recommended[kind]).filter(Boolean);
    const config = widgetOf(node, "config")?.value ?? STANDARD;
    const wanted = config === STANDARD ? loras[lora]?.[kind] ?? bundles[bundle]?.[kind] : asConfigured(known[0] ?? {});
    const untouched = known.some((values) => shows(node, values) || shows(node, asConfigured(values)));
    if (!wanted || !untouched) return;
    for (const [name, value] of Object.entries(wanted)) widgetOf(node, name).value = value;
    node.setDirtyCanvas(true, true);
}

// The nodes that a node's model comes through, itself first: LoRA loaders and whatever else hands a model on.
function wayOf(node) {
    const way = [];
    while (node && !way.includes(node)) {
        way.push(node);
        const slot = node.inputs?.findIndex((input) => input.type === "MODEL" && input.link != null) ?? -1;
        node = slot < 0 ? null : node.getInputNode(slot);
    }
    return way;
}

// The LoRA that alone and at full strength is on a way.
function onlyLora(way) {
    const [loader, ...more] = way.filter((node) => LORA_LOADERS.includes(node.comfyClass) && !SKIPPED.includes(node.mode));
    if (!loader || more.length || widgetOf(loader, "strength_model")?.value !== 1) return null;
    return widgetOf(loader, "lora_name")?.value;
}

function read(lora) {
    const found = () => fetchJson(`/ace/lora?name=${encodeURIComponent(lora)}`).catch(() => null);
    if (!asked.has(lora)) asked.set(lora, found().then((values) => (loras[lora] = values ?? {})));
    return asked.get(lora);
}

async function recommendToSampler(sampler) {
    const way = wayOf(sampler);
    const loader = way.find((node) => node.comfyClass in LOADERS);
    const lora = onlyLora(way);
    if (lora) await read(lora);
    if (lora !== onlyLora(wayOf(sampler))) return; // the artist was faster
    recommend(sampler, loader && widgetOf(loader, LOADERS[loader.comfyClass])?.value, lora);
}

function recommendBehind(node) {
    findNodes((other) => other.comfyClass === SAMPLER && wayOf(other).includes(node)).forEach(recommendToSampler);
}

function onConnected(node) {
    callAfter(node, "onConnectionsChange", function (side, slot, connected) {
        // A copy that goes into a subgraph is told of its wires before it stands in a graph where they could be followed.
        const placed = this.graph && !app.configuringGraph;
        if (placed && side === LiteGraph.INPUT && connected && this.inputs[slot]?.type === "MODEL") recommendToSampler(this);
    });
}

app.registerExtension({
    name: "ACEEdit.Recommended",
    async setup() {
        const load = async () => {
            bundles = (await fetchJson("/ace/bundles")) ?? bundles;
            asked.clear(); // files of the same name may be others now
        };
        api.addEventListener("ace.files", load);
        await load().catch((error) => console.warn("ACE Edit: the server does not say what bundles recommend.", error));
    },
    nodeCreated(node) {
        if (node.comfyClass in LOADERS) onChosen(node, LOADERS[node.comfyClass], () => recommendBehind(node));
        if (LORA_LOADERS.includes(node.comfyClass))
            for (const name of ["lora_name", "strength_model"]) onChosen(node, name, () => recommendBehind(node));
        if (TRAINERS.includes(node.comfyClass))
            for (const name of ["bundle", "config"]) onChosen(node, name, () => recommend(node, widgetOf(node, "bundle").value));
        if (node.comfyClass === SAMPLER) onConnected(node);
    },
});
