// What went wrong in a node of ours, in its own words: on the node, and in a notice. Newer front ends show only a general one
// and keep the sentence one click away.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { showNotice } from "./shared/notice.js";
import { isOurs, nodeById } from "./shared/page.js";

app.registerExtension({
    name: "ACEEdit.Errors",
    setup() {
        api.addEventListener("execution_error", ({ detail }) => {
            const { node_id: id, node_type: type, exception_message: message } = detail;
            const { nodeData } = LiteGraph.registered_node_types[type] ?? {};
            if (!isOurs(nodeData) || !message) return;
            const sentence = message.trim();
            const node = nodeById(id);
            const isIt = node?.comfyClass === type; // of another workflow the same number is another node
            const title = isIt ? node.title : type;
            if (isIt) api.dispatchCustomEvent("progress_text", { nodeId: String(id), text: sentence });
            showNotice(title === type ? nodeData.display_name : title, sentence, [], true);
        });
    },
});
