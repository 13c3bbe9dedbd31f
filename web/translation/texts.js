// What the server says, in the artist's language: on nodes, in errors and in notices. It knows one language, and pages may have
// others, so it is translated where it arrives, before anyone else reads it.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { isOurs, isTranslated, nodeById } from "../shared/page.js";
import { translate } from "./translate.js";

const isOurNode = (id) => isOurs(nodeById(id)?.constructor.nodeData);

// By event: the field with what is said, and whether it is ours.
const SAID = {
    progress_text: ["text", ({ nodeId }) => isOurNode(nodeId)],
    execution_error: ["exception_message", ({ node_type: type }) => isOurs(LiteGraph.registered_node_types[type]?.nodeData)],
    "ace.sweep": ["text", () => true],
    "ace.training": ["verdict", () => true],
};

// Nodes of Vue take what they say for Markdown, where a line ends in two spaces.
const keepLines = (text) => (LiteGraph.vueNodesMode ? text.replace(/ *\n/g, "  \n") : text);

function arrive(event, detail) {
    const [field, isOurOwn] = SAID[event] ?? [];
    if (!detail?.[field] || !isOurOwn(detail)) return;
    if (isTranslated()) detail[field] = translate(detail[field]);
    if (event === "progress_text") detail[field] = keepLines(detail[field]);
}

// No listener can come before those of the front end, which are there first.
const dispatch = api.dispatchCustomEvent;
api.dispatchCustomEvent = function (event, detail) {
    arrive(event, detail);
    return dispatch.call(this, event, detail);
};

app.registerExtension({
    name: "ACEEdit.Texts",
    init() {
        // Messages of packs are handed on another way, and only to packs: before their own listeners, which come with setup.
        for (const event of Object.keys(SAID).filter((name) => name.startsWith("ace."))) {
            api.addEventListener(event, ({ detail }) => arrive(event, detail));
        }
    },
});
