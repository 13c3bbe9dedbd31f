// ACE Chat: a tab in ComfyUI's sidebar. It is built when it is first opened, and stays the same one ever after.
import { app } from "../../../scripts/app.js";
import { useStyles } from "../shared/dom.js";
import { dropOnCanvas } from "./canvas_drop.js";
import { providePictures } from "./opened.js";
import { ChatPanel } from "./panel.js";
import { texts } from "./texts.js";

const TAB = "ace-chat";
let panel = null;

function render(container) {
    panel ??= new ChatPanel();
    if (panel.element.parentNode === container) return; // the front end calls this on each of its own updates
    container.style.height = "100%"; // the front end gives it none
    container.replaceChildren(panel.element);
    panel.show();
}

app.registerExtension({
    name: "ACEEdit.Chat",
    commands: [
        {
            id: "ACEEdit.Chat.Open",
            label: "ACE Edit: Chat",
            icon: "pi pi-comments",
            function: () => app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB}`),
        },
    ],
    keybindings: [{ commandId: "ACEEdit.Chat.Open", combo: { key: "c", shift: true } }],
    async beforeConfigureGraph(workflow) {
        // Whatever fails here, the workflow opens all the same.
        await providePictures(workflow).catch((error) => console.warn("ACE Edit: chat:", error));
    },
    async setup() {
        useStyles(import.meta.url, "../shared/controls.css", "chat.css");
        dropOnCanvas();
        app.extensionManager.registerSidebarTab({
            id: TAB,
            icon: "pi pi-comments",
            title: texts().title,
            tooltip: texts().tooltip,
            type: "custom",
            render,
            destroy: () => panel?.hide(),
        });
    },
});
