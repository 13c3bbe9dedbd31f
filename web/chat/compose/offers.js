// What a list offers while somebody types: pictures after an @, else phrasings that ACE was trained with.
import { make } from "../../shared/dom.js";
import { server, smallAddress } from "../server.js";
import { language, texts } from "../texts.js";
import { allPictures, wordOf } from "../tree.js";
import { Picker } from "./picker.js";

const PAUSE = 250; // ms without a key, after which phrasings are looked for

export class Offers {
    constructor(composer) {
        this.composer = composer;
        this.picker = new Picker((item) => this.choose(item));
        this.element = this.picker.element;
    }

    key(event) {
        return this.picker.key(event);
    }

    hide() {
        clearTimeout(this.timer);
        this.picker.hide();
    }

    // Phrasings are looked for when nothing has been typed for a while.
    wait() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.suggest(), PAUSE);
    }

    // All pictures that can be named, those of this turn first: {file, names}; one may be called in two ways.
    get nameable() {
        const { chat } = this.composer.panel;
        if (!chat) return [];
        const all = allPictures(chat);
        const held = this.composer.tray.pictures.map(({ file }, index) => ({
            file,
            names: [wordOf(index), ...all.filter((one) => one.file === file).map(({ name }) => name)],
        }));
        const others = all.filter(({ file }) => !held.some((one) => one.file === file));
        return [...held, ...others.map(({ file, name }) => ({ file, names: [name] }))];
    }

    showNames(prefix) {
        if (prefix === null) {
            if (this.naming) this.picker.hide();
            this.naming = false;
            return;
        }
        this.naming = true;
        clearTimeout(this.timer);
        const { chat } = this.composer.panel;
        const shot = (file) => make("img", { src: smallAddress(chat.id, file), alt: "" });
        const isWhole = ({ names }) => names.includes(prefix);
        const found = this.nameable.filter(({ names }) => names.some((name) => name.startsWith(prefix)));
        const inOrder = [...found.filter(isWhole), ...found.filter((one) => !isWhole(one))].slice(0, 30);
        const items = inOrder.map(({ file, names }) => [
            { picture: file },
            make("span", { className: "ace-chat-named" }, shot(file), names.join(" · ")),
        ]);
        this.picker.show(texts().pictures, items, true);
    }

    // The picture that a name means, which belongs to this turn then; null for none.
    pictureNamed(name) {
        const found = this.nameable.find(({ names }) => names.includes(name));
        if (!found) return null;
        const picture = this.composer.tray.add(this.composer.panel.chat.id, { file: found.file });
        picture.auto = false;
        return picture;
    }

    async suggest() {
        const pictures = [...this.composer.tray.pictures];
        const text = this.composer.field.parts(pictures).filter((part) => typeof part === "string").join(" ");
        if (this.naming) return;
        if (text.trim().length < 3 || text.length > 200) return this.picker.hide();
        const query = { text, pictures: pictures.length, masked: Boolean(pictures[0]?.mask), language: language() };
        const found = await server.suggestions(query).catch(() => []);
        if (this.naming || document.activeElement !== this.composer.field.element) return;
        const items = found.map((one) => [
            { parts: one.parts, pictures },
            make("span", { className: "ace-chat-suggested" }, make("b", {}, one.title), make("span", {}, one.reading)),
        ]);
        this.picker.show(texts().suggestions, items, false);
    }

    choose({ picture, parts, pictures }) {
        if (picture !== undefined) {
            this.naming = false;
            this.composer.name(this.composer.tray.add(this.composer.panel.chat.id, { file: picture }));
            return;
        }
        this.composer.field.focus();
        this.composer.useWords(parts, pictures);
        this.composer.field.selectGap();
    }
}
