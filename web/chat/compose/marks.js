// What is marked on a picture. It is kept as what was done, one after the other, so that it can be undone.
import { make } from "../../shared/dom.js";

const COLOUR = [255, 64, 64];

export class Marks {
    constructor(width, height) {
        const properties = { width, height, className: "ace-chat-marks" };
        Object.assign(this, { width, height, first: null, done: [], undone: [], isOpen: false });
        this.element = make("canvas", properties);
        this.pen = this.element.getContext("2d", { willReadFrequently: true });
        this.pen.lineCap = this.pen.lineJoin = "round";
        this.pen.strokeStyle = `rgb(${COLOUR.join(" ")})`;
    }

    // The mask that there was: what is transparent in a picture.
    begin(masked) {
        this.pen.drawImage(masked, 0, 0);
        this.flip();
        this.first = make("canvas", { width: this.width, height: this.height });
        this.first.getContext("2d").drawImage(this.element, 0, 0);
    }

    get isChanged() {
        return this.done.length > 0;
    }

    // What follows is undone by itself.
    next() {
        this.isOpen = false;
    }

    // A piece of a line; those that follow one another are one step.
    stroke(from, to, size, erasing) {
        if (!this.isOpen) this.add({ lines: [] });
        this.isOpen = true;
        const line = { from, to, size, erasing };
        this.done.at(-1).lines.push(line);
        this.line(line);
    }

    line({ from, to, size, erasing }) {
        this.pen.globalCompositeOperation = erasing ? "destination-out" : "source-over";
        this.pen.lineWidth = size;
        this.pen.beginPath();
        this.pen.moveTo(...from);
        this.pen.lineTo(to[0], to[1] + 0.01); // a line of no length is not drawn
        this.pen.stroke();
        this.pen.globalCompositeOperation = "source-over";
    }

    invert() {
        this.add({ act: () => this.flip() });
        this.flip();
    }

    clear() {
        const act = () => this.pen.clearRect(0, 0, this.width, this.height);
        this.add({ act });
        act();
    }

    add(step) {
        this.done.push(step);
        this.undone = [];
        this.isOpen = false;
    }

    undo() {
        if (this.done.length) this.undone.push(this.done.pop());
        this.draw();
    }

    redo() {
        if (this.undone.length) this.done.push(this.undone.pop());
        this.draw();
    }

    draw() {
        this.isOpen = false;
        this.pen.clearRect(0, 0, this.width, this.height);
        if (this.first) this.pen.drawImage(this.first, 0, 0);
        for (const { lines, act } of this.done) {
            if (act) act();
            else for (const line of lines) this.line(line);
        }
    }

    // What was marked is not, and the other way round.
    flip() {
        const data = this.pen.getImageData(0, 0, this.width, this.height);
        for (let index = 0; index < data.data.length; index += 4) {
            data.data.set([...COLOUR, data.data[index + 3] < 128 ? 255 : 0], index);
        }
        this.pen.putImageData(data, 0, 0);
    }

    // A picture of its own: white on black, hard edges.
    async blob() {
        const data = this.pen.getImageData(0, 0, this.width, this.height);
        for (let index = 0; index < data.data.length; index += 4) {
            const level = data.data[index + 3] > 127 ? 255 : 0;
            data.data.set([level, level, level, 255], index);
        }
        const canvas = make("canvas", { width: this.width, height: this.height });
        canvas.getContext("2d").putImageData(data, 0, 0);
        return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    }
}
