/** One face in 3D, to turn with pointer or keys. */
import {
  BufferGeometry,
  CanvasTexture,
  Float32BufferAttribute,
  Group,
  LineBasicMaterial,
  LineSegments,
  OrthographicCamera,
  Points,
  PointsMaterial,
  Scene,
  WebGLRenderer,
} from "three";
import { Box, yUp, type Points as Landmarks } from "../../src/frames.ts";
import { MARKUP_68, type Face } from "../../src/index.ts";
import { depthColours } from "./colours.ts";

const TURN_PER_PX = 0.01;
const TURN_PER_KEY = 0.12;
/** A little from the side, so that the depth is seen. */
const START = { x: 0.12, y: 0.4, zoom: 1 };

export class FaceScene {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new OrthographicCamera(-1, 1, 1, -1, -10, 10);
  private readonly turn = { ...START };
  private readonly discs = [discTexture(false), discTexture(true)];
  private head = new Group();

  /** Throws if the browser has no WebGL. */
  constructor(private readonly canvas: HTMLCanvasElement) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.scene.add(this.head);
    this.listen();
    new ResizeObserver(() => {
      this.render();
    }).observe(canvas);
  }

  /** Show a face, or nothing. */
  show(face: Face | null): void {
    this.scene.remove(this.head);
    this.head.traverse((part) => {
      if (part instanceof Points || part instanceof LineSegments) (part.geometry as BufferGeometry).dispose();
    });
    this.head = face ? this.model(face) : new Group();
    this.scene.add(this.head);
    this.render();
  }

  private model(face: Face): Group {
    const points = normalised(face.landmarks);
    const colours = depthColours(face.landmarks).map((colour) => colour.map((value) => (value / 255) ** 2.2));
    const group = new Group();
    const lines = new BufferGeometry();
    const ends = MARKUP_68.edges.flatMap(([a, b]) => [...points[a], ...points[b]]);
    lines.setAttribute("position", new Float32BufferAttribute(ends, 3));
    group.add(new LineSegments(lines, new LineBasicMaterial({ color: 0x8a8d99 })));
    for (const hidden of [false, true]) {
      const indices = points.map((_, index) => index).filter((index) => face.hidden[index] === hidden);
      const geometry = new BufferGeometry();
      geometry.setAttribute(
        "position",
        new Float32BufferAttribute(
          indices.flatMap((i) => points[i]),
          3,
        ),
      );
      geometry.setAttribute(
        "color",
        new Float32BufferAttribute(
          indices.flatMap((i) => colours[i]),
          3,
        ),
      );
      group.add(new Points(geometry, this.material(hidden)));
    }
    return group;
  }

  private material(hidden: boolean): PointsMaterial {
    const size = 10 * devicePixelRatio;
    const map = this.discs[hidden ? 1 : 0];
    return new PointsMaterial({ size, map, alphaTest: 0.4, sizeAttenuation: false, vertexColors: true });
  }

  private render(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.renderer.setPixelRatio(devicePixelRatio);
    this.renderer.setSize(width, height, false);
    const reach = 1.06 / this.turn.zoom;
    const [across, up] = width > height ? [(reach * width) / height, reach] : [reach, (reach * height) / width];
    Object.assign(this.camera, { left: -across, right: across, top: up, bottom: -up });
    this.camera.updateProjectionMatrix();
    this.head.rotation.set(this.turn.x, this.turn.y, 0);
    this.renderer.render(this.scene, this.camera);
  }

  private turnBy(x: number, y: number, zoom = 1): void {
    this.turn.x = Math.min(Math.max(this.turn.x + x, -Math.PI / 2), Math.PI / 2);
    this.turn.y += y;
    this.turn.zoom = Math.min(Math.max(this.turn.zoom * zoom, 0.4), 6);
    this.render();
  }

  private listen(): void {
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turnBy(event.movementY * TURN_PER_PX, event.movementX * TURN_PER_PX);
    });
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.turnBy(0, 0, Math.exp(-event.deltaY / 500));
      },
      { passive: false },
    );
    this.canvas.addEventListener("keydown", (event) => {
      if (this.key(event.key)) event.preventDefault();
    });
  }

  /** Whether the key does something here. */
  private key(key: string): boolean {
    const turns: Record<string, [number, number, number?]> = {
      ArrowLeft: [0, -TURN_PER_KEY],
      ArrowRight: [0, TURN_PER_KEY],
      ArrowUp: [-TURN_PER_KEY, 0],
      ArrowDown: [TURN_PER_KEY, 0],
      "+": [0, 0, 1.15],
      "-": [0, 0, 1 / 1.15],
    };
    if (key === "Home") Object.assign(this.turn, START);
    else if (!(key in turns)) return false;
    this.turnBy(...(turns[key] ?? [0, 0]));
    return true;
  }
}

/** Landmarks in the axes of 3D tools, about the middle, none further from it than 1. */
function normalised(landmarks: Landmarks): [number, number, number][] {
  const box = Box.around(landmarks);
  const [x, y] = box.centre;
  const depths = landmarks.map((point) => point[2]);
  const z = (Math.min(...depths) + Math.max(...depths)) / 2;
  const centred = landmarks.map((point): [number, number, number] => [point[0] - x, point[1] - y, point[2] - z]);
  const size = Math.max(...centred.map((point) => Math.hypot(...point)));
  return yUp(centred).map((point) => [point[0] / size, point[1] / size, point[2] / size]);
}

function discTexture(hollow: boolean): CanvasTexture {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const context = canvas.getContext("2d")!;
  context.fillStyle = context.strokeStyle = "white";
  context.lineWidth = 12;
  context.arc(32, 32, hollow ? 22 : 28, 0, 2 * Math.PI);
  if (hollow) context.stroke();
  else context.fill();
  return new CanvasTexture(canvas);
}
