// Copies the photographs of the pack that an opened workflow names into ComfyUI's input folder, before its nodes look there.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { refreshMenus, showError } from "./shared/page.js";

const PREFIX = "ACE Edit ";
const listed = new Set(); // names that the menus of this page have; another page may have had them copied

function mentioned(value) {
    if (typeof value === "string") return value.startsWith(PREFIX) ? [value] : [];
    return value && typeof value === "object" ? Object.values(value).flatMap(mentioned) : [];
}

app.registerExtension({
    name: "ace.examples",
    async beforeConfigureGraph(graph) {
        const names = [...new Set(mentioned(graph))];
        if (!names.length) return;
        // The graph is empty until this is done, and still counts as that of the workflow before: it must not be noted as such.
        const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
        if (tracker) tracker.changeCount++;
        try {
            const body = JSON.stringify(names);
            const reply = await api.fetchApi("/ace/examples", { method: "POST", body });
            const told = await reply.json();
            if (!reply.ok) throw new Error(told.error);
            if (names.some((name) => !listed.has(name))) await refreshMenus();
            names.forEach((name) => listed.add(name));
        } catch (error) {
            showError(error.message);
        } finally {
            if (tracker) tracker.changeCount--;
        }
    },
});
