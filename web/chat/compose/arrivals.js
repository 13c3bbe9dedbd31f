// Pictures on their way to a conversation: files from a disk, and pictures of other conversations.
import { isTyping } from "../../shared/dom.js";
import { pictureAddress, server } from "../server.js";

export class Arrivals {
    // panel: ensureChat(), attempt(work). changed(): other ones are on their way. arrived(chat, file): one is there.
    // write(): the keyboard is free for it.
    constructor(panel, { changed, arrived, write }) {
        Object.assign(this, { panel, changed, arrived, write });
        this.coming = new Set(); // {chat}, null for one that is made for them
    }

    // Whether something is on its way to a conversation, null for one that has not begun.
    has(chat) {
        return [...this.coming].some((one) => one.chat === null || one.chat === chat);
    }

    addFiles(files) {
        if (files.length) return this.add(files.map((file) => (chat) => server.addPicture(chat, file)));
    }

    addCarried({ chat, file }) {
        const copy = async (here) => server.addPicture(here, await (await fetch(pictureAddress(chat, file))).blob());
        return this.add([async (here) => (chat === here ? { file } : copy(here))]);
    }

    // One after the other, each to the conversation that it was chosen for. pictures: functions of the conversation's id that
    // promise the file.
    async add(pictures) {
        const { activeElement: before } = document;
        const coming = { chat: this.panel.chat?.id ?? null };
        this.coming.add(coming);
        this.changed();
        await this.panel.attempt(async () => {
            coming.chat = await this.panel.ensureChat();
            for (const picture of pictures) this.arrived(coming.chat, await picture(coming.chat));
        });
        this.coming.delete(coming);
        this.changed();
        const now = document.activeElement;
        if (now === document.body || (now === before && !isTyping(now))) this.write(); // else somebody is elsewhere by now
    }
}
