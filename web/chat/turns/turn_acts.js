// What can be done with a turn.
import { app } from "../../../../scripts/app.js";
import { isComposing, make } from "../../shared/dom.js";
import { api } from "../../../../scripts/api.js";
import { putOnCanvas } from "../canvas_drop.js";
import { compare } from "./compare.js";
import { showDialog } from "../frame/dialogs.js";
import { beginner } from "../once.js";
import { pictureAddress, server } from "../server.js";
import { texts } from "../texts.js";

const DATASET = "ACEEdit.Chat.Dataset";

export function turnActs(panel) {
    const attempt = (work) => panel.attempt(work);
    const chat = () => panel.chat.id;
    const once = beginner(attempt);

    // Draws what a turn sends, with the settings of a turn that there is, or of the next one; the sheet is one more prompt, of no sampling.
    async function drawSheet(ask, parent, turn = null) {
        const words = texts();
        const body = make("div", { className: "ace-stage" }, words.waiting);
        const told = await server.sheet(chat(), ask, parent, turn);
        const closed = () => panel.runs.get(told.prompt_id) && attempt(() => panel.runs.stop(told.prompt_id));
        const dialog = showDialog(turn ? words.whatWasSent : words.preview, body, { closed });
        const picture = ({ filename, subfolder, type }) => {
            const address = api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
            body.replaceChildren(make("img", { src: address, alt: words.preview, className: "ace-chat-sheet ace-chat-long" }));
        };
        const failed = (why) => body.replaceChildren(why ? words.failed(why) : words.gone);
        try {
            await panel.runs.start(told, { picture, failed });
        } catch (error) {
            dialog.close();
            throw error;
        }
    }

    // What waited is gone from the queue then, and nobody tells so; what runs tells it itself.
    async function stop({ prompt }) {
        await panel.runs.stop(prompt);
        if (panel.runs.get(prompt)?.state === "waiting") panel.runs.forget(prompt);
        if (panel.chat) await panel.refresh(chat());
    }

    async function openWorkflow(turn, branch) {
        const { workflow, name } = await server.workflow(chat(), turn.id, branch);
        await app.loadGraphData(workflow, true, true, name);
    }

    function sendToDataset(turn) {
        const words = texts();
        const known = panel.choices?.datasets ?? [];
        const name = make("input", { className: "ace-input", value: localStorage.getItem(DATASET) ?? "chat", ariaLabel: words.datasetName });
        name.setAttribute("list", "ace-chat-datasets");
        const list = make("datalist", { id: "ace-chat-datasets" }, ...known.map((one) => make("option", { value: one })));
        const send = () =>
            attempt(async () => {
                dialog.close();
                localStorage.setItem(DATASET, name.value);
                const told = await server.dataset(chat(), turn.id, name.value);
                panel.tell(words.sent(name.value, told), told.rejected.length > 0);
            });
        const button = make("button", { type: "button", className: "ace-button", onclick: send }, words.toDataset);
        const body = make("div", { className: "ace-chat-dataset" }, make("label", { className: "ace-field" }, make("span", {}, words.datasetName), name), list, button);
        name.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" || isComposing(event)) return;
            event.preventDefault(); // what has the focus next would be clicked
            send();
        });
        const dialog = showDialog(words.toDataset, body);
        name.focus();
        name.select();
    }

    return {
        drawSheet,
        show: (file) => {
            const image = make("img", { src: pictureAddress(chat(), file), alt: "", className: "ace-chat-sheet" });
            const use = make("button", { type: "button", className: "ace-button" }, texts().usePicture);
            const dialog = showDialog(texts().title, make("div", { className: "ace-stage" }, image), { tools: [use] });
            use.addEventListener("click", () => {
                dialog.close();
                panel.composer.take(chat(), { file });
                panel.composer.field.focus();
            });
            use.focus();
        },
        goOn: (turn) => {
            panel.composer.cancelEdit();
            panel.walk.goTo(turn.id);
            panel.composer.field.focus();
        },
        stop: () => panel.running && attempt(() => stop(panel.running)),
        retry: once("retry", async (turn) => panel.begin(await server.retry(chat(), turn.id), true)),
        again: once("again", async (turn) => panel.begin(await server.again(chat(), turn.id), true)),
        edit: (turn) => {
            panel.composer.edit(turn);
            panel.draw();
            panel.thread.reveal(turn.id);
        },
        compare: (turn) => compare(panel.chat, turn) || panel.tell(texts().nothingToCompare),
        mask: (turn) => {
            panel.composer.cancelEdit();
            panel.walk.goTo(turn.id);
            const picture = panel.composer.take(chat(), { file: turn.answer.file });
            panel.tray.move(picture, 0); // what is masked is what is edited
            panel.composer.openMask(picture);
        },
        switchTo: (turn) => panel.walk.switchTo(turn),
        sheet: once("sheet", (turn) => {
            const { parts, pictures, extend, seed, depth } = turn;
            return drawSheet({ parts, pictures, extend, seed, depth }, turn.parent, turn.id);
        }),
        workflow: once("workflow", (turn) => openWorkflow(turn, false)),
        branch: once("branch", (turn) => openWorkflow(turn, true)),
        dataset: sendToDataset,
        toCanvas: once("canvas", (turn) => putOnCanvas({ chat: chat(), file: turn.answer.file })),
    };
}

