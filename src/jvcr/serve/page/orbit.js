// Turning the 3D view: mouse, touch, pen and keys.

const DEG_PER_PX = 0.5;
const DEG_PER_KEY = 10;
const MAX_PITCH_DEG = 89;
const ZOOM = { least: 0.6, most: 6, step: 1.15 };

export class Orbit {
  yawDeg = 0;
  pitchDeg = 0;
  zoom = 1;
  #pointers = new Map();
  #changed;

  /** `changed()` is called after every turn or zoom. */
  constructor(canvas, changed) {
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#down(canvas, event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(canvas, event), { passive: false });
  }

  set(yawDeg, pitchDeg, zoom = this.zoom) {
    this.yawDeg = yawDeg;
    this.pitchDeg = Math.max(-MAX_PITCH_DEG, Math.min(MAX_PITCH_DEG, pitchDeg));
    this.zoom = Math.max(ZOOM.least, Math.min(ZOOM.most, zoom));
    this.#changed();
  }

  turn(yawDeg, pitchDeg) {
    this.set(this.yawDeg + yawDeg, this.pitchDeg + pitchDeg);
  }

  #down(canvas, event) {
    canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
  }

  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    const before = this.#spread();
    this.#pointers.set(event.pointerId, event);
    // Two fingers zoom and turn at half the speed each.
    const share = DEG_PER_PX / this.#pointers.size;
    if (before) this.set(this.yawDeg, this.pitchDeg, (this.zoom * this.#spread()) / before);
    this.turn((last.clientX - event.clientX) * share, (event.clientY - last.clientY) * share);
  }

  /** The distance of two fingers, or 0. */
  #spread() {
    if (this.#pointers.size !== 2) return 0;
    const [a, b] = this.#pointers.values();
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  }

  #wheel(canvas, event) {
    // The page scrolls unless the view has the focus, or this is a pinch on a touchpad.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    this.set(this.yawDeg, this.pitchDeg, this.zoom * ZOOM.step ** (-event.deltaY / 100));
  }

  #key(event) {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(this);
  }
}

const keys = {
  // The shape turns the way the arrow points, so the camera goes the other way.
  ArrowLeft: (orbit) => orbit.turn(DEG_PER_KEY, 0),
  ArrowRight: (orbit) => orbit.turn(-DEG_PER_KEY, 0),
  ArrowUp: (orbit) => orbit.turn(0, -DEG_PER_KEY),
  ArrowDown: (orbit) => orbit.turn(0, DEG_PER_KEY),
  "+": (orbit) => orbit.set(orbit.yawDeg, orbit.pitchDeg, orbit.zoom * ZOOM.step),
  "=": (orbit) => orbit.set(orbit.yawDeg, orbit.pitchDeg, orbit.zoom * ZOOM.step),
  "-": (orbit) => orbit.set(orbit.yawDeg, orbit.pitchDeg, orbit.zoom / ZOOM.step),
  Home: (orbit) => orbit.set(0, 0, 1),
};
