// The page: a head, the turns or the list of conversations or the settings, and where the next turn is written.
import { isTyping, make } from "../shared/dom.js";
import { ServerError } from "../shared/server.js";
import { ChatList } from "./chats.js";
import { Composer } from "./compose/composer.js";
import { Head } from "./head.js";
import { turnKey } from "./turns/keys.js";
import { Runs } from "./runs.js";
import { server } from "./server.js";
import { Settings, firstSettings } from "./settings.js";
import { errorText, texts } from "./texts.js";
import { Thread } from "./turns/thread.js";
import { Tray } from "./compose/tray.js";
import { answeredAt, newestBelow, pathTo, siblings, turnOf } from "./tree.js";
import { turnActs } from "./turns/turn_acts.js";

const MEMORY = "ACEEdit.Chat";
const OPENERS = new Set(["C", "D"]); // with Shift, they open and close tabs of the sidebar

export class ChatPanel {
    constructor() {
        this.chat = null;
        this.head = null; // of this window; another may look at another branch
        this.view = "talk";
        this.errors = new Map(); // by prompt: why ComfyUI did not take it
        this.runs = new Runs({
            changed: (prompt) => this.progressed(prompt),
            ended: (prompt, message) => this.ended(prompt, message),
            told: (chat) => this.told(chat),
            back: () => this.back(),
        });
        this.acts = turnActs(this);
        this.thread = new Thread(this.acts, (turn) => this.runOf(turn));
        this.tray = new Tray({
            changed: () => this.composer?.changed(false),
            name: (picture) => this.composer.name(picture),
            removed: (picture) => this.composer.field.remove(picture),
        });
        this.composer = new Composer(this, this.tray);
        this.settings = new Settings((settings) => this.changeSettings(settings));
        this.list = new ChatList({
            open: (id) => this.open(id),
            rename: (chat) => this.open(chat.id).then(() => this.bar.edit()),
            remove: (chat) => this.remove(chat),
            exportChat: (chat) => this.export(chat),
            fail: (error) => this.fail(error),
        });
        this.bar = new Head({
            toggleList: () => this.showView(this.view === "list" ? "talk" : "list"),
            create: () => this.create(),
            toggleSettings: () => this.showView(this.view === "settings" ? "talk" : "settings"),
            toggleHelp: () => this.toggleHelp(),
            rename: (title) => this.edit({ title }),
            undo: () => this.undo(),
        });
        this.build();
    }

    build() {
        this.notice = make("div", { className: "ace-note", role: "status", hidden: true });
        const rows = texts().keys.flatMap(([keys, meaning]) => [make("dt", {}, keys), make("dd", {}, meaning)]);
        this.help = make("dl", { className: "ace-keys", hidden: true }, ...rows);
        this.element = make(
            "div",
            { className: "ace-page ace-chat" },
            this.bar.element,
            this.notice,
            this.help,
            this.thread.element,
            this.list.element,
            this.settings.element,
            this.composer.element,
        );
        this.composer.acceptDrops(this.element);
        this.element.addEventListener("keydown", (event) => this.key(event));
        this.element.addEventListener("paste", (event) => event.stopPropagation());
    }

    // -- shown and hidden --------------------------------------------------------------------------------------

    show() {
        this.tell("");
        this.help.hidden = true;
        this.showView("talk");
        this.reload();
    }

    hide() {} // nothing runs that would have to stop: the server tells what is new

    async reload() {
        await this.attempt(async () => {
            this.choices = await server.choices();
            const id = this.chat?.id ?? localStorage.getItem(MEMORY);
            if (!id) return this.draw();
            await this.refresh(id, !this.chat);
        });
    }

    // The server is there again: what it does not know any more, since it was started anew, does not run.
    async back() {
        await this.reload();
        for (const turn of this.chat?.turns ?? []) {
            if (!["waiting", "running"].includes(turn.state)) this.runs.forget(turn.prompt);
        }
        this.draw();
    }

    async refresh(id, first = false) {
        try {
            const chat = await server.read(id);
            if (first || this.chat?.id === id) this.take(chat, first); // else another was opened meanwhile
        } catch (error) {
            if (error.code !== "unknown") throw error;
            this.leave();
        }
    }

    // A conversation as the server has it now. first: it was not shown before.
    take(chat, first = false) {
        if (!first && this.chat?.id === chat.id && chat.changed < this.chat.changed) return; // overtaken by a newer one
        if (first) this.head = chat.head;
        this.chat = chat;
        if (this.head && !turnOf(chat, this.head)) this.head = chat.head;
        localStorage.setItem(MEMORY, chat.id);
        if (first) this.composer.openDraft();
        this.draw();
    }

    leave() {
        this.chat = null;
        this.head = null;
        localStorage.removeItem(MEMORY);
        this.composer.openDraft();
        this.draw();
    }

    showView(view) {
        this.view = view;
        if (view === "list") this.list.load().then(() => this.list.search.focus());
        if (view === "settings") this.openSettings();
        this.draw();
        if (view === "talk") this.thread.toEnd();
    }

    draw() {
        const { view } = this;
        this.bar.show(this.chat, view, this.head);
        this.thread.element.hidden = view !== "talk";
        this.composer.element.hidden = view !== "talk";
        this.list.element.hidden = view !== "list";
        this.settings.element.hidden = view !== "settings";
        this.thread.show(this.chat, this.head);
        const base = this.chat && answeredAt(this.chat, this.head)?.answer.file;
        this.tray.base(this.chat?.id, base ?? null);
        this.composer.show();
    }

    tell(text, bad = false, act = null) {
        const button = act && make("button", { type: "button", className: "ace-button", onclick: act[1] }, act[0]);
        this.notice.replaceChildren(text, ...(button ? [" ", button] : []));
        this.notice.hidden = !text;
        this.notice.classList.toggle("ace-bad", bad);
    }

    fail(error) {
        if (!(error instanceof ServerError)) console.warn("ACE Edit: chat:", error);
        this.tell(error instanceof ServerError ? errorText(error) : error.message, true);
    }

    async attempt(work) {
        try {
            return await work();
        } catch (error) {
            this.fail(error);
        }
    }

    toggleHelp() {
        this.help.hidden = !this.help.hidden;
    }

    // -- conversations -----------------------------------------------------------------------------------------

    // The conversation that is open, made if there is none yet; its id.
    async ensureChat() {
        if (this.chat) return this.chat.id;
        this.choices ??= await server.choices();
        const settings = firstSettings(this.choices, this.lastSettings);
        if (!settings) throw new ServerError(texts().noModel, "refused");
        this.opening ??= server.create(settings).finally(() => (this.opening = null)); // two files may be dropped at once
        const made = await this.opening;
        if (!this.chat) {
            this.chat = made;
            localStorage.setItem(MEMORY, made.id);
            this.draw();
        }
        return made.id;
    }

    create() {
        this.lastSettings = this.chat?.settings ?? this.lastSettings;
        this.tell("");
        this.leave();
        this.showView("talk");
        this.composer.field.focus();
    }

    async open(id) {
        await this.attempt(async () => {
            this.take(await server.read(id), true);
            this.tell("");
            this.showView("talk");
            this.composer.field.focus();
        });
    }

    edit(changes) {
        return this.attempt(async () => this.take(await server.edit(this.chat.id, changes)));
    }

    remove(chat) {
        return this.attempt(async () => {
            await server.remove(chat.id);
            const restore = async () => {
                await this.attempt(() => server.restore(chat.id));
                this.tell("");
                this.list.load();
            };
            if (this.chat?.id === chat.id) this.leave();
            this.tell(texts().deleted(chat.title || texts().untitled), false, [texts().undo, restore]);
            await this.list.load();
        });
    }

    export(chat) {
        return this.attempt(async () => this.tell(texts().exported(await server.export(chat.id))));
    }

    openSettings() {
        this.attempt(async () => {
            await this.ensureChat();
            this.choices = await server.choices();
            this.settings.show(this.chat.settings, this.choices);
        });
    }

    changeSettings(settings) {
        this.lastSettings = settings;
        this.edit({ settings });
    }

    // -- turns -------------------------------------------------------------------------------------------------

    send(ask) {
        return this.attempt(async () => {
            const chat = await this.ensureChat();
            const told = await server.ask(chat, ask, this.head);
            this.composer.reset();
            if (ask.depth !== told.chat.settings.depth) await server.edit(chat, { settings: { ...told.chat.settings, depth: ask.depth } });
            await this.begin(told);
        });
    }

    // A turn that the server has noted goes into the queue.
    async begin(told) {
        this.head = told.turn;
        const started = this.runs.start(told);
        this.take(told.chat);
        this.thread.toEnd();
        try {
            await started;
        } catch (error) {
            this.errors.set(told.prompt_id, error.message);
            throw error;
        } finally {
            this.draw();
        }
    }

    runOf(turn) {
        const message = this.errors.get(turn.prompt);
        return this.runs.get(turn.prompt) ?? (message ? { state: "failed", message } : undefined);
    }

    // The turns of this conversation that are in the queue.
    get running() {
        const busy = (turn) => !turn.answer && ["waiting", "running"].includes(this.runOf(turn)?.state ?? turn.state);
        return this.chat?.turns.filter(busy).at(-1) ?? null;
    }

    stop() {
        const turn = this.running;
        if (turn) this.attempt(() => this.runs.stop(turn.prompt).then(() => this.stopped(turn)));
    }

    // What waited is gone from the queue, and nobody tells so; what runs tells it itself.
    async stopped(turn) {
        if (this.runs.get(turn.prompt)?.state === "waiting") this.runs.forget(turn.prompt);
        await this.refresh(this.chat.id);
    }

    progressed(prompt) {
        const turn = this.chat?.turns.find((one) => one.prompt === prompt);
        if (!turn) return;
        this.thread.progress(turn);
        if (this.runs.get(prompt)?.state !== this.drawnState) this.draw();
        this.drawnState = this.runs.get(prompt)?.state;
    }

    ended(prompt, message) {
        if (message) this.errors.set(prompt, message.trim());
        this.drawnState = null;
        if (this.chat) this.attempt(() => this.refresh(this.chat.id));
    }

    told(chat) {
        if (this.view === "list") this.list.load();
        if (this.chat?.id === chat) this.attempt(() => this.refresh(chat));
    }

    // Another place of the tree is looked at.
    goTo(id) {
        this.head = id;
        this.draw();
        this.thread.toEnd();
        if (this.chat) this.attempt(() => server.edit(this.chat.id, id ? { head: id } : { beginning: true }));
    }

    switchTo(turn) {
        this.goTo(newestBelow(this.chat, turn.id));
        this.thread.mark(turn.id);
    }

    beside(turn, step) {
        const all = siblings(this.chat, turn);
        const other = all[all.indexOf(turn) + step];
        if (other) this.switchTo(other);
    }

    undo() {
        if (!this.head) return;
        const path = pathTo(this.chat, this.head);
        this.goTo(path.at(-2)?.id ?? null);
    }

    preview(ask, parent) {
        return this.attempt(() => this.acts.drawSheet(ask, parent));
    }

    // -- keys --------------------------------------------------------------------------------------------------

    key(event) {
        if (OPENERS.has(event.key) && !isTyping(event.target)) return;
        event.stopPropagation(); // ComfyUI would take Delete and others for its graph
        if (isTyping(event.target)) {
            if (event.key === "Escape" && this.view !== "talk") this.showView("talk");
            return;
        }
        if (event.target.closest("button, summary") && (event.key === "Enter" || event.key === " ")) return;
        if (this.view !== "talk") {
            if (event.key === "Escape") this.showView("talk");
            return;
        }
        if (turnKey(this, event)) event.preventDefault();
    }
}

