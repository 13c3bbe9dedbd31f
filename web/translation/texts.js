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
function keepLines({ detail }) {
    if (LiteGraph.vueNodesMode && isOurNode(detail.nodeId)) detail.text = detail.text.replace(/ *\n/g, "  \n");
}

app.registerExtension({
    name: "ACEEdit.Texts",
    init() {
        for (const [event, [field, isOurOwn]] of Object.entries(SAID)) {
            const listen = ({ detail }) => {
                if (detail?.[field] && isTranslated() && isOurOwn(detail)) detail[field] = translate(detail[field]);
            };
            api.addEventListener(event, listen, true); // comes before those of the front end
        }
        api.addEventListener("progress_text", keepLines, true); // once it is translated
    },
});
