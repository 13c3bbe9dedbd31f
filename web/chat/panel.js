// The page: a head, the turns or the list of conversations or the settings, and where the next turn is written.
import { keyList, make } from "../shared/dom.js";
import { ServerError } from "../shared/server.js";
import { chatActs } from "./chat_acts.js";
import { ChatList } from "./chats.js";
import { Composer } from "./compose/composer.js";
import { acceptDrops } from "./compose/drops.js";
import { keepFocus, takeKeys } from "../shared/focus.js";
import { Head } from "./frame/head.js";
import { Notice } from "./frame/notice.js";
import { keepDraft, openedChat, rememberChat } from "./memory.js";
import { pageKey } from "./turns/keys.js";
import { Runs } from "./runs.js";
import { server } from "./server.js";
import { Settings, firstSettings } from "./settings.js";
import { errorText, texts } from "./texts.js";
import { Thread } from "./turns/thread.js";
import { Tray } from "./compose/tray.js";
import { answeredAt, turnOf } from "./tree.js";
import { turnActs } from "./turns/turn_acts.js";
import { Walk } from "./turns/walk.js";

export class ChatPanel {
    constructor() {
        this.chat = null;
        this.head = null; // of this window; another may look at another branch
        this.view = "talk";
        this.errors = new Map(); // by prompt: why ComfyUI did not take it
        this.reads = { begun: 0, taken: 0 };
        this.place = {}; // another one whenever somebody goes elsewhere: what was asked for before is not shown then
        this.coming = null; // the place where the conversation that this window remembers is waited for
        this.runs = new Runs({
            changed: (prompt) => this.progressed(prompt),
            ended: (prompt, message) => this.ended(prompt, message),
            told: (chat) => this.told(chat),
            moved: () => this.moved(),
            back: () => this.back(),
        });
        this.acts = turnActs(this);
        this.walk = new Walk(this);
        this.thread = new Thread(this.acts, (turn) => this.runOf(turn), () => this.walk.toLast());
        this.tray = new Tray({
            changed: () => this.composer?.changed("renew"),
            name: (picture) => this.composer.name(picture),
            openMask: (picture) => this.composer.openMask(picture),
            removed: (picture) => this.composer.field.remove(picture),
            isNamed: (picture) => this.composer.field.pictures.includes(picture),
            replaced: (picture, other) => this.composer.field.follow(picture, other),
            emptied: () => this.composer.field.focus(),
        });
        this.composer = new Composer(this, this.tray);
        this.chatActs = chatActs(this);
        this.settings = new Settings((settings) => this.changeSettings(settings));
        this.list = new ChatList(this.chatActs);
        this.bar = new Head({
            toggleList: () => this.showView(this.view === "list" ? "talk" : "list"),
            create: () => this.create(),
            toggleSettings: () => this.showView(this.view === "settings" ? "talk" : "settings"),
            toggleHelp: () => this.toggleHelp(),
            rename: (title) => this.edit({ title }),
            undo: () => this.walk.undo(),
            redo: () => this.walk.redo(),
        });
        this.build();
    }

    build() {
        this.notice = new Notice();
        this.help = keyList(texts().keys);
        this.element = make(
            "div",
            { className: "ace-page ace-chat" },
            this.bar.element,
            this.notice.element,
            this.help,
            this.thread.element,
            this.list.element,
            this.settings.element,
            this.composer.element,
        );
        acceptDrops(this);
        this.element.addEventListener("keydown", (event) => pageKey(this, event));
        this.element.addEventListener("paste", (event) => event.stopPropagation());
    }

    // -- shown and hidden --------------------------------------------------------------------------------------

    show() {
        this.tell("");
        this.help.hidden = true;
        this.showView("talk");
        takeKeys(this.composer.field);
        this.reload();
    }

    hide() {} // nothing runs that would have to stop: the server tells what is new

    reload() {
        this.loaded = this.attempt(() => this.load());
        return this.loaded;
    }

    async load() {
        const { place } = this;
        if (!this.chat && openedChat()) this.coming = place;
        try {
            this.choices = await server.choices();
            const id = this.chat?.id ?? openedChat();
            if (!id) return this.begun();
            await this.refresh(id, !this.chat);
        } finally {
            if (this.coming === place) this.coming = null;
            this.composer.show();
        }
    }

    // Whether the conversation that this window remembers is not here yet.
    get isComing() {
        return this.coming === this.place;
    }

    // Nothing is open: what was written before there is a conversation is still there.
    begun() {
        if (this.composer.isEmpty) this.composer.openDraft();
        this.draw();
    }

    // The server is there again, maybe another one that has forgotten its queue.
    async back() {
        this.notice.back();
        await this.reload();
        if (this.view === "list") this.list.load();
        if (this.view !== "settings") return;
        await this.settings.resend();
        if (this.settings.isEmpty) this.openSettings(); // it could not be filled
    }

    async refresh(id, first = false) {
        const number = ++this.reads.begun;
        const known = this.runs.queued;
        const { place } = this;
        const isWanted = () => (first ? this.place === place : this.chat?.id === id); // else another was opened meanwhile
        try {
            const chat = await server.read(id);
            if (number < this.reads.taken) return; // overtaken by a later one
            this.reads.taken = number;
            if (isWanted()) this.take(chat, first, known);
        } catch (error) {
            if (error.code !== "unknown") throw error;
            if (!isWanted()) return;
            const gone = this.chat;
            this.leave();
            if (gone) this.tell(texts().deleted(gone.title || texts().untitled), false, this.chatActs.restoring({ ...gone, wasOpen: true }));
        }
    }

    // A conversation as the server has it now. first: it was not shown before. known: what was in the queue when it was asked.
    take(chat, first = false, known = new Set(), moved = false) {
        if (!first && this.chat?.id === chat.id && chat.changed < this.chat.changed) return; // overtaken by a newer one
        const wasComing = this.isComing;
        if (first) Object.assign(this, { head: chat.head, place: {} });
        this.chat = chat;
        this.runs.settle(chat.turns, known);
        for (const turn of chat.turns) if (this.runs.get(turn.prompt)) this.errors.delete(turn.prompt);
        if (this.head && !turnOf(chat, this.head)) this.head = chat.head;
        rememberChat(chat.id);
        if (first && wasComing) this.composer.joinDraft();
        else if (first) this.composer.openDraft();
        if (this.view === "settings") this.settings.update(chat.settings);
        this.draw(moved);
    }

    leave() {
        Object.assign(this, { chat: null, head: null, place: {} });
        rememberChat(null);
        this.composer.openDraft();
        this.draw();
    }

    showView(view) {
        this.view = view;
        if (view === "list") this.list.load();
        if (view === "settings") this.openSettings();
        this.draw();
        if (view === "list") this.list.search.focus(); // at once: later, somebody may be elsewhere in the list
        if (view === "talk") this.thread.toEnd();
    }

    // moved: somebody went elsewhere in the tree.
    draw(moved = false) {
        const inThread = this.thread.element.contains(document.activeElement);
        keepFocus(this.element, () => this.drawAll(moved), () => this.rescueFocus(inThread));
    }

    drawAll(moved) {
        const { view, chat, head } = this;
        this.walk.note();
        const later = this.walk.later.length;
        this.bar.show(chat, view, head, later);
        this.thread.element.hidden = view !== "talk";
        this.composer.element.hidden = view !== "talk";
        this.list.element.hidden = view !== "list";
        this.settings.element.hidden = view !== "settings";
        this.thread.show(chat, head, later, this.composer.editing?.id);
        const base = chat && answeredAt(chat, head)?.answer.file;
        // Whoever chooses from a list is not disturbed: other pictures come when that is closed.
        this.isBaseOld = this.composer.offers.isOpen;
        if (!this.composer.editing && !this.isBaseOld) this.tray.base(chat?.id, base ?? null, moved);
        this.composer.show();
    }

    // What had the focus is gone.
    rescueFocus(inThread) {
        if (this.view === "list") this.list.search.focus();
        else if (this.view === "settings") this.bar.settings.focus();
        else if (inThread) this.thread.focus();
        else this.composer.field.focus();
    }

    // Of a notice whose button was pressed, the button goes, too.
    tell(...given) {
        keepFocus(this.element, () => this.notice.tell(...given), () => this.rescueFocus(false));
    }

    fail(...given) {
        keepFocus(this.element, () => this.notice.fail(...given), () => this.rescueFocus(false));
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
        if (this.isComing) await this.loaded;
        if (this.chat) return this.chat.id;
        this.choices ??= await server.choices();
        const settings = firstSettings(this.choices, this.lastSettings);
        if (!settings) throw new ServerError(texts().noModel, "refused");
        this.opening ??= server.create(settings).finally(() => (this.opening = null)); // two files may be dropped at once
        const made = await this.opening;
        if (!this.chat) {
            Object.assign(this, { chat: made, place: {} });
            rememberChat(made.id);
            keepDraft(null, null); // what was written before goes on as this one's
            this.composer.changed("hide");
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

    // Whether it is shown now: somebody may have gone elsewhere meanwhile.
    async open(id) {
        const place = (this.place = {});
        const known = this.runs.queued;
        const chat = await this.attempt(() => server.read(id));
        if (!chat || place !== this.place) return false;
        this.take(chat, true, known);
        this.tell("");
        this.showView("talk");
        this.composer.field.focus();
        return true;
    }

    // Whether the server has taken them.
    async edit(changes) {
        const told = await this.attempt(() => server.edit(this.chat.id, changes));
        if (told && told.id === this.chat?.id) this.take(told);
        return Boolean(told);
    }

    openSettings() {
        this.attempt(async () => {
            this.settings.empty(); // of another conversation, maybe
            this.choices = await server.choices();
            this.lastSettings = this.chat?.settings ?? firstSettings(this.choices, this.lastSettings);
            if (!this.lastSettings) throw new ServerError(texts().noModel, "refused");
            this.settings.show(this.lastSettings, this.choices);
        });
    }

    // changes: what was chosen; another window may have chosen the rest. Before there is a conversation, its first turn takes
    // them. Whether they are kept.
    async changeSettings(changes) {
        this.lastSettings = { ...(this.chat?.settings ?? this.lastSettings), ...changes };
        return !this.chat || this.edit({ settings: changes });
    }

    // -- turns -------------------------------------------------------------------------------------------------

    // Asks for a turn. {lost}: the conversation for which that was in vain, null for one that has not begun.
    async send(ask, parent) {
        let id = this.chat?.id ?? null;
        const { said } = this.notice;
        const told = await this.attempt(async () => {
            id = await this.ensureChat();
            return server.ask(id, ask, parent);
        });
        if (!told) return { lost: id };
        this.notice.pass(said);
        await this.attempt(() => this.begin(told));
        return {};
    }

    // A turn that the server has noted goes into the queue. moved: it stands elsewhere in the tree.
    async begin(told, moved = false) {
        const started = this.runs.start(told);
        if (this.chat?.id === told.chat.id) {
            this.head = told.turn;
            this.thread.mark(told.turn);
            this.take(told.chat, false, new Set(), moved);
            this.thread.toEnd();
        }
        try {
            await started;
        } catch (error) {
            this.errors.set(told.prompt_id, error instanceof ServerError ? errorText(error) : error.message);
            throw error;
        } finally {
            this.draw();
        }
    }

    runOf(turn) {
        const message = this.errors.get(turn.prompt);
        return this.runs.get(turn.prompt) ?? (message ? { state: "failed", message } : undefined);
    }

    // The turn that the next one comes after, if there is one.
    get turnAt() {
        return (this.head && turnOf(this.chat, this.head)) || null;
    }

    isBusy(turn) {
        return !turn.answer && ["waiting", "running"].includes(this.runOf(turn)?.state ?? turn.state);
    }

    isShown(turn) {
        return this.thread.path.includes(turn);
    }

    // The turn that can be stopped: the one that is looked at, or else the newest of those in the queue.
    get running() {
        const busy = this.chat?.turns.filter((turn) => this.isBusy(turn)) ?? [];
        return busy.find((turn) => this.isShown(turn)) ?? busy.at(-1) ?? null;
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

    // The queue is another: turns that other windows began run now, or what waited is gone.
    moved() {
        if (this.view === "list" && this.element.isConnected) this.list.load();
        const isOpen = ({ answer, state }) => (answer ? answer.seconds === null : !["failed", "stopped"].includes(state));
        if (this.chat?.turns.some(isOpen)) this.attempt(() => this.refresh(this.chat.id));
    }

    preview(ask, parent) {
        return this.attempt(() => this.acts.drawSheet(ask, parent));
    }
}
