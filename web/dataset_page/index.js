// The page of datasets: a tab in ComfyUI's sidebar. It is built when it is first opened.
import { app } from "../../../scripts/app.js";
import { useStyles } from "../shared/dom.js";
import { DatasetPage } from "./page.js";
import { texts } from "./texts/texts.js";

const TAB = "ace-datasets";
let page = null;

function render(container) {
    page ??= new DatasetPage();
    if (page.element.parentNode === container) return; // the front end calls this on each of its own updates
    container.style.height = "100%"; // the front end gives it none, and the list would have no room
    container.replaceChildren(page.element);
    page.show();
}

app.registerExtension({
    name: "ACEEdit.Datasets",
    commands: [
        {
            id: "ACEEdit.Datasets.Open",
            label: "ACE Edit: Datasets",
            icon: "pi pi-images",
            function: () => app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB}`),
        },
    ],
    keybindings: [{ commandId: "ACEEdit.Datasets.Open", combo: { key: "d", shift: true } }],
    async setup() {
        useStyles(import.meta.url, "../shared/controls.css", "page.css");
        app.extensionManager.registerSidebarTab({
            id: TAB,
            icon: "pi pi-images",
            title: texts().title,
            tooltip: texts().tooltip,
            type: "custom",
            render,
            destroy: () => page?.hide(),
        });
    },
});
