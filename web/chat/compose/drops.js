// Files and pictures that are dropped on the page, wherever that is.
import { carried, carries } from "../canvas_drop.js";

// panel: element, composer, view, showView(name).
export function acceptDrops(panel) {
    const { element } = panel;
    const { arrivals } = panel.composer;
    const brings = (event) => carries(event) || [...(event.dataTransfer?.types ?? [])].includes("Files");
    const show = (isOver) => element.classList.toggle("ace-chat-drop", isOver);
    element.addEventListener("dragover", (event) => {
        if (!brings(event)) return;
        event.preventDefault();
        event.stopPropagation();
        show(true);
    });
    element.addEventListener("dragleave", (event) => element.contains(event.relatedTarget) || show(false));
    element.addEventListener("drop", () => show(false), true); // also where a part of the page takes it
    document.addEventListener("dragend", () => show(false), true); // given up
    element.addEventListener("drop", (event) => {
        if (!brings(event)) return;
        event.preventDefault();
        event.stopPropagation();
        const picture = carried(event);
        if (panel.view !== "talk") panel.showView("talk"); // else nobody would see where it went
        if (picture) arrivals.addCarried(picture);
        else arrivals.addFiles([...event.dataTransfer.files]);
    });
}
