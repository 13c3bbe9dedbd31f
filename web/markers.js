// Says on a capturing node that is bypassed or muted that nothing is kept, when its graph is queued.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { findNodes, inLanguage } from "./shared/page.js";

const MARKERS = ["ACECaptureSource", "ACECaptureResult", "ACECapturePair"];
// By the mode of a node: 2 never runs, 4 hands on what comes in.
const TEXTS = {
    en: { 2: "muted: nothing is captured here", 4: "bypassed: nothing is captured here" },
    zh: { 2: "已禁用：这里不会捕获任何内容", 4: "已绕过：这里不会捕获任何内容" },
};

app.registerExtension({
    name: "ACEEdit.Markers",
    setup() {
        api.addEventListener("promptQueued", () => {
            const texts = inLanguage(TEXTS);
            for (const node of findNodes((node) => MARKERS.includes(node.comfyClass) && texts[node.mode])) {
                api.dispatchCustomEvent("progress_text", { nodeId: String(node.id), text: texts[node.mode] });
            }
        });
    },
});
