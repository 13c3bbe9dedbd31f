// Two pictures of a conversation over one another.
import { choice, make } from "../../shared/dom.js";
import { Wipe } from "../../shared/wipe.js";
import { showDialog } from "../frame/dialogs.js";
import { pictureAddress } from "../server.js";
import { texts } from "../texts.js";
import { allPictures, siblings } from "../tree.js";

// Opens the comparison of a turn's answer with what was edited, or with any other picture; whether there is another.
export function compare(chat, turn) {
    const words = texts();
    const names = new Map(allPictures(chat).map(({ file, name }) => [file, words.pictureCalled(name)]));
    const beside = siblings(chat, turn)
        .filter((other) => other.answer && other.id !== turn.id)
        .map((other) => other.answer.file);
    const first = turn.pictures[0]?.file;
    const files = [...new Set([first, ...beside, ...names.keys()].filter((file) => file && file !== turn.answer.file))];
    if (!files.length) return false;
    const wipe = new Wipe(words);
    const shown = { before: files[0], after: turn.answer.file };
    const show = () => {
        const part = shown.before === first ? partOf(turn) : null;
        wipe.show(pictureAddress(chat.id, shown.before), pictureAddress(chat.id, shown.after), names.get(shown.before), { part });
    };
    const sizes = make("span", { className: "ace-chat-facts", role: "status" });
    for (const image of [wipe.before, wipe.after]) image.addEventListener("load", () => (sizes.textContent = sizesOf(wipe)));
    const select = choice(
        words.with,
        files.map((file) => [file, names.get(file)]),
        shown.before,
        (file) => {
            shown.before = file;
            show();
        },
    );
    select.className = "ace-input ace-chat-with";
    const keys = (event) => {
        const acts = {
            ",": () => wipe.step(-1),
            ".": () => wipe.step(1),
            x: () => wipe.flip(),
            1: () => wipe.toggleSize(),
        };
        const key = event.key.toLowerCase(); // no picture's name begins with one of them, so the menu misses nothing
        acts[key]?.();
        return key in acts;
    };
    showDialog(`#${turn.number}`, wipe.element, { tools: [sizes, make("span", {}, words.with), select], keys });
    show();
    select.focus();
    return true;
}

// Where the picture that was extended lies in the answer, as shares of that; null for any other turn.
function partOf({ extend, answer }) {
    if (!extend) return null;
    const { left, top, right, bottom } = extend;
    const { width, height } = answer;
    return { left: left / width, top: top / height, width: (width - left - right) / width, height: (height - top - bottom) / height };
}

// Both sizes in pixels, where they are not the same.
function sizesOf({ before, after }) {
    const [one, other] = [before, after].map(({ naturalWidth, naturalHeight }) => `${naturalWidth} × ${naturalHeight}`);
    return one === other || !before.naturalWidth || !after.naturalWidth ? "" : `${one} → ${other}`;
}
