// Pictures on their way to a conversation: files from a disk, and pictures of other conversations.
import { isTyping } from "../../shared/dom.js";
import { pictureAddress, server } from "../server.js";
import { texts } from "../texts.js";

const SLOW = 400; // ms after which it is said that something is on its way

export class Arrivals {
    // panel: chat, notice, ensureChat(), attempt(work), fail(error, about). changed(): other ones are on their way.
    // arrived(chat, file): one is there. write(): the keyboard is free for it.
    constructor(panel, { changed, arrived, write }) {
        Object.assign(this, { panel, changed, arrived, write });
        this.coming = new Set(); // {chat, isSlow}; chat: null for one that is made for them
    }

    // What is on its way to a conversation, null for one that has not begun.
    to(chat) {
        return [...this.coming].filter((one) => one.chat === null || one.chat === chat);
    }

    addFiles(given) {
        const files = given.filter((file) => file.type.startsWith("image/"));
        if (given.length && !files.length) this.panel.tell(texts().noPicture, true);
        if (files.length) return this.add(files.map((file) => ({ name: file.name, bring: (chat) => server.addPicture(chat, file) })));
    }

    addCarried({ chat, file }) {
        const copy = async (here) => server.addPicture(here, await (await fetch(pictureAddress(chat, file))).blob());
        return this.add([{ name: "", bring: async (here) => (chat === here ? { file } : copy(here)) }]);
    }

    // One after the other, each to the conversation that it was chosen for. pictures: {name, bring(chat)}, which promises the
    // file. One that does not come keeps none of the others away.
    async add(pictures) {
        const { activeElement: before } = document;
        const coming = { chat: this.panel.chat?.id ?? null, isSlow: false };
        const { said } = this.panel.notice;
        const lost = [];
        this.coming.add(coming);
        this.changed();
        const timer = setTimeout(() => {
            coming.isSlow = true;
            this.changed();
        }, SLOW);
        await this.panel.attempt(async () => {
            coming.chat = await this.panel.ensureChat();
            for (const { name, bring } of pictures) {
                const made = await bring(coming.chat).catch((error) => void lost.push({ name, error }));
                if (made) this.arrived(coming.chat, made);
            }
            if (!lost.length) this.panel.notice.pass(said);
        });
        if (lost.length) this.panel.fail(lost[0].error, lost.map(({ name }) => name).join(", "));
        clearTimeout(timer);
        this.coming.delete(coming);
        this.changed();
        const now = document.activeElement;
        if (now === document.body || (now === before && !isTyping(now))) this.write(); // else somebody is elsewhere by now
    }
}
