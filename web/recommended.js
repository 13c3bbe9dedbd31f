// Sampler, Train and Distil start with what the bundle recommends, and follow when another bundle is chosen: as numbers, and
// only as long as these still are what some bundle or adapter recommends. A number that the artist has typed stays. Beside a
// configuration of one's own the numbers are 0, which means: as it says. A Sampler takes what an adapter, which is a LoRA or an
// EditNet, recommends before that of the bundle, if it is the only one on the way and at full strength: nobody has measured
// how several do together.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { fetchJson, findNodes } from "./shared/page.js";
import { callAfter, onChosen, widgetOf } from "./shared/widgets.js";

const LOADERS = { ACELoadBundle: "bundle", ACELoadModel: "model_name" }; // with the widget that says which model
const SAMPLER = "ACESampler";
const TRAINERS = ["ACETrain", "ACEDistil"];
const SKIPPED = [2, 4]; // modes of nodes that are muted or bypassed
const STANDARD = "(standard)";
const ADAPTERS = {
    // nodes that load one: the folder of models, and the widgets that say which file and how strong
    LoraLoaderModelOnly: ["loras", "lora_name", "strength_model"],
    LoraLoader: ["loras", "lora_name", "strength_model"],
    ACELoadEditNet: ["model_patches", "editnet_name", "strength"],
};
let bundles = {}; // by bundle, or file of a model, and node: widgets and values
const adapters = {}; // by what the server is asked, as far as they were met: the same
const asked = new Map(); // by the same: a promise that this is what the file says now

const shows = (node, values) => Object.entries(values).every(([name, value]) => widgetOf(node, name)?.value === value);

const asConfigured = (values) => Object.fromEntries(Object.keys(values).map((name) => [name, 0]));

function recommend(node, bundle, adapter) {
    const kind = node.comfyClass;
    const known = [...Object.values(bundles), ...Object.values(adapters)].map((recommended) => recommended[kind]).filter(Boolean);
    const config = widgetOf(node, "config")?.value ?? STANDARD;
    const wanted = config === STANDARD ? adapters[adapter]?.[kind] ?? bundles[bundle]?.[kind] : asConfigured(known[0] ?? {});
    const untouched = known.some((values) => shows(node, values) || shows(node, asConfigured(values)));
    if (!wanted || !untouched) return;
    for (const [name, value] of Object.entries(wanted)) widgetOf(node, name).value = value;
    node.setDirtyCanvas(true, true);
}

// The nodes that a node's model comes through, itself first: loaders of adapters and whatever else hands a model on.
function wayOf(node) {
    const way = [];
    while (node && !way.includes(node)) {
        way.push(node);
        const slot = node.inputs?.findIndex((input) => input.type === "MODEL" && input.link != null) ?? -1;
        node = slot < 0 ? null : node.getInputNode(slot);
    }
    return way;
}

// What the server is asked about the adapter that alone and at full strength is on a way.
function onlyAdapter(way) {
    const [loader, ...more] = way.filter((node) => node.comfyClass in ADAPTERS && !SKIPPED.includes(node.mode));
    if (!loader || more.length) return null;
    const [folder, file, strength] = ADAPTERS[loader.comfyClass];
    if (widgetOf(loader, strength)?.value !== 1) return null;
    return new URLSearchParams({ folder, name: widgetOf(loader, file)?.value }).toString();
}

function read(adapter) {
    const found = () => fetchJson(`/ace/adapter?${adapter}`).catch(() => null);
    if (!asked.has(adapter)) asked.set(adapter, found().then((values) => (adapters[adapter] = values ?? {})));
    return asked.get(adapter);
}

async function recommendToSampler(sampler) {
    const way = wayOf(sampler);
    const loader = way.find((node) => node.comfyClass in LOADERS);
    const adapter = onlyAdapter(way);
    if (adapter) await read(adapter);
    if (adapter !== onlyAdapter(wayOf(sampler))) return; // the artist was faster
    recommend(sampler, loader && widgetOf(loader, LOADERS[loader.comfyClass])?.value, adapter);
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
        const [, ...choices] = ADAPTERS[node.comfyClass] ?? [];
        for (const name of choices) onChosen(node, name, () => recommendBehind(node));
        if (TRAINERS.includes(node.comfyClass))
            for (const name of ["bundle", "config"]) onChosen(node, name, () => recommend(node, widgetOf(node, "bundle").value));
        if (node.comfyClass === SAMPLER) onConnected(node);
    },
});
