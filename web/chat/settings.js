// With what, and how, the pictures of a conversation are made.
import { choice, make } from "../shared/dom.js";
import { texts } from "./texts.js";

const SIZES = ["as the model", "512 px model", "1024 px model", "exact size", "source size"];

export class Settings {
    // changed(changes): something was chosen; the rest of the settings stays as it is. A promise of whether it is kept.
    constructor(changed) {
        this.changed = changed;
        this.unsent = {}; // what was chosen and is not kept yet
        this.shown = {}; // what the form says; another window may have chosen something else meanwhile
        this.element = make("form", { className: "ace-form ace-chat-settings", hidden: true });
        this.element.addEventListener("submit", (event) => event.preventDefault());
        this.element.addEventListener("change", () => this.take());
        this.element.addEventListener("focusout", () => setTimeout(() => this.isBehind && !this.isUsed && this.fill()));
    }

    // choices: names of files, as the server told them.
    show(settings, choices) {
        Object.assign(this, { settings, choices, unsent: {} });
        this.fill();
    }

    // Nothing can be chosen until it is shown again.
    empty() {
        this.isBehind = false;
        this.element.replaceChildren();
    }

    get isEmpty() {
        return !this.element.firstChild;
    }

    // The form shows what is kept, and what was chosen since.
    fill() {
        const { choices } = this;
        const settings = (this.shown = { ...this.settings, ...this.unsent });
        this.isBehind = false;
        const words = texts();
        this.kind = this.select("kind", Object.entries(words.models), settings.bundle === null ? "files" : "bundle");
        this.bundle = this.names("bundle", [...choices.bundles, ...choices.missing], settings.bundle, (name) =>
            choices.missing.includes(name) ? `${name} (${words.notInstalled})` : name,
        );
        this.model = this.names("modelFile", choices.models, settings.model);
        this.textEncoder = this.names("textEncoder", choices.text_encoders, settings.text_encoder);
        this.vae = this.names("vae", choices.vaes, settings.vae);
        this.steps = this.number("steps", settings.steps, { min: 1, max: 1000, step: 1 });
        this.cfg = this.number("cfg", settings.cfg, { min: 0, max: 30, step: 0.1 });
        this.rescale = this.number("rescale", settings.guidance_rescale, { min: 0, max: 1, step: 0.05 });
        this.detail = this.number("keepDetail", settings.keep_detail, { min: 0, max: 2, step: 0.05 });
        this.size = this.select("size", SIZES.map((size) => [size, words.sizes[size]]), settings.size);
        this.width = this.number("width", settings.width, { min: 16, max: 8192, step: 16 });
        this.height = this.number("height", settings.height, { min: 16, max: 8192, step: 16 });
        this.negative = make("textarea", { className: "ace-input", rows: 2, value: settings.negative });
        this.loras = make("div", { className: "ace-chat-loras" }, ...settings.loras.map((lora) => this.lora(lora)));
        this.drawn = null;
        this.draw();
    }

    // The fields that go with what is chosen. As long as they are the same they stay: a click is lost on what is put in anew.
    draw() {
        const words = texts();
        const focused = document.activeElement;
        const own = this.kind.value === "files";
        const isExact = this.size.value === "exact size";
        const drawn = `${own} ${isExact}`;
        if (drawn === this.drawn) return;
        this.drawn = drawn;
        const field = (label, input) => make("label", { className: "ace-field" }, make("span", {}, label), input);
        const add = make("button", { type: "button", className: "ace-button", disabled: !this.choices.loras.length }, words.addLora);
        add.addEventListener("click", () => {
            this.loras.append(this.lora({ name: this.choices.loras[0], strength: 1 }));
            this.take();
        });
        const files = [field(words.modelFile, this.model), field(words.textEncoder, this.textEncoder), field(words.vae, this.vae)];
        this.element.replaceChildren(
            field(words.model, this.kind),
            ...(own ? files : [field(words.bundle, this.bundle)]),
            make("div", { className: "ace-field" }, make("span", {}, words.loras), this.loras, add),
            make("div", { className: "ace-row" }, field(words.steps, this.steps), field(words.cfg, this.cfg), field(words.rescale, this.rescale)),
            field(words.size, this.size),
            ...(isExact
                ? [make("div", { className: "ace-row" }, field(words.width, this.width), field(words.height, this.height))]
                : []),
            field(words.keepDetail, this.detail),
            field(words.negative, this.negative),
        );
        if (this.element.contains(focused)) focused.focus(); // what is put into the page anew loses it
    }

    select(name, options, value) {
        const select = choice(texts()[name] ?? texts().model, options, value, () => {});
        select.className = "ace-input";
        return select;
    }

    // A menu of files; one that is set but gone is still named.
    names(name, found, value, label = (one) => one) {
        const all = value === null || found.includes(value) ? found : [value, ...found];
        return this.select(name, all.map((one) => [one, label(one)]), value ?? all[0]);
    }

    number(name, value, bounds) {
        return make("input", { className: "ace-input", type: "number", ariaLabel: texts()[name], value, ...bounds });
    }

    lora({ name, strength }) {
        const names = this.names("loras", this.choices.loras, name);
        const number = make("input", { className: "ace-input", type: "number", step: 0.05, min: -20, max: 20, value: strength, ariaLabel: texts().strength });
        const cross = make("button", { type: "button", className: "ace-button", ariaLabel: texts().delete }, "×");
        const row = make("div", { className: "ace-row ace-chat-lora" }, names, number, cross);
        cross.addEventListener("click", () => {
            row.remove();
            this.take();
        });
        return row;
    }

    // Everything as it stands in the form.
    take() {
        const own = this.kind.value === "files";
        const bundle = own ? null : this.bundle.value || null;
        if (bundle !== null && bundle !== this.shown.bundle) this.recommend(bundle);
        const settings = this.shown;
        const made = {
            ...settings,
            bundle,
            model: own ? this.model.value || null : null,
            text_encoder: own ? this.textEncoder.value || null : null,
            vae: own ? this.vae.value || null : null,
            loras: [...this.loras.children].map((row) => {
                const [name, strength] = row.querySelectorAll("select, input");
                return { name: name.value, strength: taken(strength, 1) };
            }),
            steps: taken(this.steps, settings.steps),
            cfg: taken(this.cfg, settings.cfg),
            guidance_rescale: taken(this.rescale, settings.guidance_rescale),
            negative: this.negative.value,
            size: this.size.value,
            width: taken(this.width, settings.width),
            height: taken(this.height, settings.height),
            keep_detail: taken(this.detail, settings.keep_detail),
        };
        this.draw();
        if (own && [made.model, made.text_encoder, made.vae].includes(null)) return; // not all is chosen yet
        if (!own && bundle === null) return;
        const changes = Object.entries(made).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(settings[name]));
        this.shown = made;
        Object.assign(this.unsent, Object.fromEntries(changes));
        this.resend();
    }

    // Sends what is not kept yet, also what could not be kept before.
    async resend() {
        const { unsent } = this;
        const sent = Object.entries(unsent);
        if (!sent.length || !(await this.changed({ ...unsent })) || this.unsent !== unsent) return;
        for (const [name, value] of sent) {
            if (unsent[name] !== value) continue; // chosen anew meanwhile
            this.settings = { ...this.settings, [name]: value };
            delete unsent[name];
        }
    }

    // Another window may have chosen something; whoever is choosing here sees it when that is done.
    update(settings) {
        if (!this.settings) return;
        const same = JSON.stringify(settings) === JSON.stringify(this.settings);
        this.settings = settings;
        if (same) return;
        if (this.isUsed) this.isBehind = true;
        else this.fill();
    }

    get isUsed() {
        return this.element.contains(document.activeElement);
    }

    recommend(bundle) {
        const { steps, cfg, guidance_rescale: rescale } = this.choices.recommended[bundle] ?? {};
        if (steps === undefined) return;
        this.steps.value = steps;
        this.cfg.value = cfg;
        this.rescale.value = rescale;
    }
}

// What a field of numbers says, and shows from then on: within its bounds, and in its steps where these are whole.
function taken(input, otherwise) {
    const [least, most, step] = [input.min, input.max, input.step].map(Number);
    const typed = input.value === "" ? otherwise : Number(input.value);
    const near = Number.isInteger(step) ? least + Math.round((typed - least) / step) * step : typed;
    const value = Math.min(Math.max(near, least), most);
    input.value = value;
    return value;
}

// What a new conversation begins with: the settings of the one before, or what the first bundle recommends.
export function firstSettings(choices, before) {
    if (before && (before.bundle === null || choices.bundles.includes(before.bundle))) return before;
    const bundle = choices.bundles.find((name) => name !== "ace-tiny") ?? choices.bundles[0];
    if (!bundle) return null;
    return { ...choices.defaults, bundle, ...choices.recommended[bundle] };
}

