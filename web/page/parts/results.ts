/** The results beside the picture: the chosen face in 3D, its values, and downloads. */
import type { Face } from "../../src/index.ts";
import { asCsv, asJson, save, type Shown } from "./downloads.ts";
import { element } from "./elements.ts";
import { FaceScene } from "./scene.ts";
import { showValues } from "./values.ts";

export class Results {
  selected = 0;
  private shown: Shown | null = null;
  private readonly faces = element("faces", HTMLElement);
  private readonly values = element("values", HTMLTableElement);
  private readonly buttons = { json: element("json", HTMLButtonElement), csv: element("csv", HTMLButtonElement) };
  private readonly scene: FaceScene | null;

  /** `chosen` is called when the visitor chooses another face. */
  constructor(private readonly chosen: () => void) {
    this.scene = openScene();
    this.buttons.json.addEventListener("click", () => {
      if (this.shown) save(`${stem(this.shown.image)}.json`, asJson(this.shown), "application/json");
    });
    this.buttons.csv.addEventListener("click", () => {
      if (this.shown) save(`${stem(this.shown.image)}.csv`, asCsv(this.shown), "text/csv");
    });
  }

  get current(): Shown | null {
    return this.shown;
  }

  show(shown: Shown | null): void {
    this.shown = shown;
    const count = shown?.faces.length ?? 0;
    if (this.selected >= count) this.selected = 0;
    for (const button of Object.values(this.buttons)) button.disabled = count === 0;
    if (this.faces.childElementCount !== (count > 1 ? count : 0)) this.makeButtons(count);
    this.showSelected();
  }

  private makeButtons(count: number): void {
    const numbers = count > 1 ? Array.from({ length: count }, (_, index) => index) : [];
    this.faces.replaceChildren(
      ...numbers.map((index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `Face ${index + 1}`;
        button.addEventListener("click", () => {
          this.selected = index;
          this.showSelected();
          this.chosen();
        });
        return button;
      }),
    );
  }

  private showSelected(): void {
    const face: Face | null = this.shown?.faces[this.selected] ?? null;
    this.scene?.show(face);
    showValues(this.values, face);
    for (const [index, button] of [...this.faces.children].entries()) {
      button.setAttribute("aria-pressed", String(index === this.selected));
    }
  }
}

/** Without WebGL, the rest of the page still works. */
function openScene(): FaceScene | null {
  const canvas = element("scene", HTMLCanvasElement);
  try {
    return new FaceScene(canvas);
  } catch {
    canvas.hidden = true;
    return null;
  }
}

function stem(name: string): string {
  return name.replace(/\.[^.]*$/, "") || "landmarks";
}
