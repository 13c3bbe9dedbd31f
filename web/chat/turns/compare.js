// Two pictures of a conversation over one another.
import { choice, make } from "../../shared/dom.js";
import { Wipe } from "../../shared/wipe.js";
import { showDialog } from "../dialogs.js";
import { pictureAddress } from "../server.js";
import { texts } from "../texts.js";
import { allPictures, siblings } from "../tree.js";

// Opens the comparison of a turn's answer with what was edited, or with any other picture.
export function compare(chat, turn) {
    const words = texts();
    const names = new Map(allPictures(chat).map(({ file, name }) => [file, name]));
    const beside = siblings(chat, turn)
        .filter((other) => other.answer && other.id !== turn.id)
        .map((other) => other.answer.file);
    const first = turn.pictures[0]?.file;
    const files = [...new Set([first, ...beside, ...names.keys()].filter((file) => file && file !== turn.answer.file))];
    if (!files.length) return;
    const wipe = new Wipe(words);
    const shown = { before: files[0], after: turn.answer.file };
    const show = () => wipe.show(pictureAddress(chat.id, shown.before), pictureAddress(chat.id, shown.after), names.get(shown.before));
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
        if (event.target === select && event.key !== ".") return false;
        acts[event.key.toLowerCase()]?.();
        return event.key.toLowerCase() in acts;
    };
    const tools = [make("span", {}, words.with), select];
    showDialog(`#${turn.number}`, wipe.element, { tools, keys });
    show();
    select.focus();
}
