// One pair in the grid: its small picture, its instruction and what is special about it.
import { make } from "../../shared/dom.js";
import { itemKey, thumbnailAddress } from "../server.js";
import { reasonKinds, reasonText, texts } from "../texts/texts.js";

const loaded = new Set(); // addresses that the browser has by now
const MOST_REMEMBERED = 20000;

export function createCell(hooks) {
    const image = make("img", { alt: "", draggable: false });
    const words = make("div", { className: "ace-line" });
    const marks = make("div", { className: "ace-marks" });
    const cell = { image, words, marks, index: -1, address: null };
    image.addEventListener("load", () => {
        if (loaded.size > MOST_REMEMBERED) loaded.clear();
        loaded.add(cell.address);
        image.classList.add("ace-there");
    });
    image.addEventListener("error", () => cell.element.classList.add("ace-broken"));
    cell.element = make(
        "div",
        {
            className: "ace-cell",
            role: "option",
            onclick: (event) => hooks.click(cell.index, event),
            ondblclick: () => hooks.open(cell.index),
        },
        make("div", { className: "ace-frame" }, image),
        make("div", { className: "ace-words" }, words, marks),
    );
    return cell;
}

// settled: false while the list is moving fast; pictures that would only flit by are not asked for.
export function fillCell(cell, index, item, { dataset, selected, current, settled }) {
    cell.index = index;
    const { element } = cell;
    element.classList.toggle("ace-chosen", selected);
    element.classList.toggle("ace-current", current);
    element.ariaSelected = String(selected);
    showPicture(cell, item && item.thumbnail !== false ? thumbnailAddress(dataset, item) : null, settled);
    if (cell.item === item) return;
    cell.item = item;
    element.classList.toggle("ace-rejected", item?.number !== undefined);
    element.classList.toggle("ace-weightless", item?.weight === 0);
    element.dataset.pair = item ? itemKey(item) : "";
    const { proposed, instruction, reasons } = item ?? {};
    cell.words.textContent = proposed || instruction || "";
    element.title = [proposed, instruction, reasons && reasonText(item)].filter(Boolean).join("\n");
    cell.marks.replaceChildren(...(item ? marks(item) : []));
}

function showPicture(cell, address, settled) {
    if (cell.address === address) return;
    cell.element.classList.remove("ace-broken");
    cell.image.classList.remove("ace-there");
    if (address && (settled || loaded.has(address))) {
        cell.address = address;
        cell.image.src = address;
    } else {
        cell.address = null;
        cell.image.removeAttribute("src"); // and what was on its way is given up
    }
}

function marks(item) {
    const words = texts();
    if (item.number !== undefined) return [mark(reasonKinds(item), "ace-bad")];
    return [
        item.instruction ? null : mark(words.unlabelled, "ace-bad"),
        item.split === "validation" ? mark(words.splits.validation, "ace-held") : null,
        item.weight === 1 ? null : mark(`× ${Number(item.weight.toFixed(3))}`),
        item.edited ? mark(words.edited) : null,
        item.masks ? mark(words.masked) : null,
        item.images > 1 ? mark(words.further(item.images - 1)) : null,
        ...item.tags.slice(0, 3).map((tag) => mark(`#${tag}`, "ace-tag")),
    ].filter(Boolean);
}

function mark(text, kind = "") {
    return make("span", { className: `ace-mark ${kind}` }, text);
}
