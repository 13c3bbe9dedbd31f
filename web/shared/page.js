// What all parts of ACE Edit's pages share: the artist's language, nodes by their ids, files that have come.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const SHOWN_MS = 10000;

const language = () => app.extensionManager.setting.get("Comfy.Locale");

// Of texts by language, those of the artist's; whoever reads a kind of Chinese gets the one there is.
export function inLanguage(texts) {
    return texts[language()?.split("-")[0]] ?? texts.en;
}

// Whether nodes are shown in another language than the server's, from locales/.
export const isTranslated = () => language() === "zh";

// Whether a node's definition is one of this pack's. Other packs have names that begin with ACE, too.
export function isOurs(nodeData) {
    return /^ACE Edit(\/|$)/.test(nodeData?.category ?? "");
}

// All nodes of a graph and its subgraphs that a test is true for.
export function findNodes(test, graph = app.rootGraph ?? app.graph) {
    return (graph?.nodes ?? []).flatMap((node) => [
        ...(test(node) ? [node] : []),
        ...(node.subgraph ? findNodes(test, node.subgraph) : []),
    ]);
}

// The node that the server calls by an id; one inside of subgraphs has theirs before its own, with colons between.
export function nodeById(id, graph = app.rootGraph ?? app.graph) {
    const [first, ...rest] = String(id).split(":");
    const node = graph?.nodes?.find((node) => String(node.id) === first);
    return rest.length ? node?.subgraph && nodeById(rest.join(":"), node.subgraph) : node;
}

export function showError(detail, summary = "ACE Edit") {
    app.extensionManager.toast.add({ severity: "error", summary, detail, life: SHOWN_MS });
}

let refreshing = Promise.resolve();

// Has all menus list the files that are there now, as the key R does. One after the other: the front end does not expect
// two at once.
export function refreshMenus() {
    refreshing = refreshing.then(() => (app.reloadNodeDefs ?? app.refreshComboInNodes).call(app)).catch((error) => {
        console.warn("ACE Edit: the menus could not be refreshed.", error);
    });
    return refreshing;
}

// Has the list of workflows show the files that are there now.
async function refreshWorkflows() {
    const store = app.extensionManager.workflow;
    // Front ends of ComfyUI 0.8 forget what an open workflow holds, edits that are not saved among it.
    const parts = ["content", "originalContent", "changeTracker", "isModified"];
    const open = store.openWorkflows.map((workflow) => [workflow, parts.map((part) => workflow[part])]);
    await store.syncWorkflows();
    for (const [workflow, kept] of open) {
        const [content] = kept;
        if (content && !workflow.content) parts.forEach((part, index) => (workflow[part] = kept[index]));
    }
}

// Has menus and the list of workflows show what is there now.
export async function refreshFiles() {
    await refreshMenus();
    await refreshWorkflows();
}

// Opens one of the user's workflows by its file's name, as a click in the list does.
export async function openWorkflow(name) {
    await refreshFiles(); // else its models count as missing
    const store = app.extensionManager.workflow;
    const workflow = store.getWorkflowByPath(`workflows/${name}`);
    if (!workflow) throw new Error(name);
    // What was trained anew comes before what an open tab still shows of an earlier run, but never before the artist's edits.
    if (!workflow.isModified) await workflow.load({ force: true });
    else if (!workflow.isLoaded) await workflow.load();
    await app.loadGraphData(workflow.activeState, true, true, workflow);
}

export async function fetchJson(route) {
    const reply = await api.fetchApi(route);
    return reply.ok ? reply.json() : null;
}
