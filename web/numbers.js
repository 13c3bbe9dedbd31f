// A number that counts up or changes by itself after a run is for seeds. A number that says which pair is shown stays until
// the artist changes it, or says that it shall count.
import { app } from "../../scripts/app.js";
import { widgetOf } from "./shared/widgets.js";

const STAYS = { ACEBrowseDataset: "number" };

app.registerExtension({
    name: "ACEEdit.Numbers",
    nodeCreated(node) {
        const widget = widgetOf(node, STAYS[node.comfyClass]);
        const control = widget?.linkedWidgets?.find((linked) => linked.name === "control_after_generate");
        if (control) control.value = "fixed"; // a saved workflow sets its own choice after this
    },
});
