// The 3D view. It draws only when something has changed.

import * as THREE from "./three.module.min.js";
import { cutOut } from "./cutout.js";
import { FACE_MARGIN, viewerFrame } from "./frames.js";
import { markupOf } from "./markup.js";
import { Orbit } from "./orbit.js";
import { axesShape, cloudShape, dispose, landmarkShapes, markShape, planeShape, skinShape } from "./shapes.js";

// The front view has the extent of the photo's "Face" view, so that both show the same.
const HALF_HEIGHT = FACE_MARGIN / 2;
const DISTANCE = 4;
const TEXTURE_PX = 512;
const DIM = 0.2;

export const VIEWS = { front: [0, 0], turned: [-32, 10], side: [-90, 0] };

export class Scene {
  #renderer;
  #scene = new THREE.Scene();
  // Orthographic, as the landmarks are: from the front they lie on the photo.
  #camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 0.01, 2 * DISTANCE);
  #skin = document.createElement("canvas");
  #texture = new THREE.CanvasTexture(this.#skin);
  #layers = {};
  #visible = { points: true, skin: true, cloud: false, axes: false, plane: false };
  #shown = null;
  #waiting = false;
  #canvas;

  /** Throws if the browser has no WebGL. */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.#texture.colorSpace = THREE.SRGBColorSpace;
    this.#light();
    this.orbit = new Orbit(canvas, () => this.#draw());
    this.look("turned");
    new ResizeObserver(() => this.#draw()).observe(canvas);
    canvas.addEventListener("webglcontextrestored", () => this.#draw());
  }

  #light() {
    const lamp = new THREE.DirectionalLight(0xffffff, 1.6);
    lamp.position.set(-0.4, 0.6, 1);
    this.#camera.add(lamp);
    this.#scene.add(this.#camera, new THREE.AmbientLight(0xffffff, 1.9));
  }

  /** Show one face of `{picture, record, selected}`, or nothing. */
  show(shown) {
    const face = shown?.record.faces[shown.selected];
    this.#clear();
    this.#shown = face ? { face, frame: viewerFrame(face.box) } : null;
    if (face) this.#build(shown, face, this.#shown.frame);
    this.#draw();
  }

  #build({ picture, record }, face, frame) {
    const markup = markupOf(face);
    const square = cutOut(this.#skin, picture, record, face.box, TEXTURE_PX);
    this.#texture.needsUpdate = true;
    const layers = { points: landmarkShapes(face, markup, frame) };
    if (picture && markup.triangles.length) layers.skin = skinShape(face, markup, frame, this.#texture, square);
    if (picture) layers.plane = planeShape(face, frame, this.#texture, square);
    if (face.volume) layers.cloud = cloudShape(face.volume, frame);
    if (face.pose) layers.axes = axesShape(face, frame);
    this.#layers = layers;
    for (const [name, shape] of Object.entries(layers)) {
      shape.visible = this.#visible[name] ?? true;
      this.#scene.add(shape);
    }
    this.#dimSkin();
  }

  /** The cloud adds its light to what is behind it, so a bright skin would drown it. */
  #dimSkin() {
    const { skin, cloud } = this.#layers;
    if (skin) skin.children[0].material.color.setScalar(cloud && this.#visible.cloud ? DIM : 1);
  }

  #clear() {
    for (const shape of Object.values(this.#layers)) {
      this.#scene.remove(shape);
      dispose(shape);
    }
    this.#layers = {};
  }

  /** Show or hide "points", "skin", "cloud", "axes" or "plane". */
  toggle(name, visible) {
    this.#visible[name] = visible;
    if (this.#layers[name]) this.#layers[name].visible = visible;
    this.#dimSkin();
    this.#draw();
  }

  /** Look from "front", "turned" or "side". */
  look(name) {
    this.orbit.set(...VIEWS[name], 1);
  }

  /** Point out a landmark; -1 for none. */
  mark(landmark) {
    const { mark } = this.#layers;
    if (mark) {
      this.#scene.remove(mark);
      dispose(mark);
      delete this.#layers.mark;
    }
    if (landmark >= 0 && this.#shown) {
      this.#layers.mark = markShape(this.#shown.face, this.#shown.frame, landmark);
      this.#scene.add(this.#layers.mark);
    }
    this.#draw();
  }

  #draw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    this.#renderer.setPixelRatio(window.devicePixelRatio);
    this.#renderer.setSize(width, height, false);
    this.#aim(width / height);
    const { cloud } = this.#layers;
    if (cloud) cloud.material.size = this.#dotPx(height);
    this.#renderer.render(this.#scene, this.#camera);
  }

  #aim(aspect) {
    const { yawDeg, pitchDeg, zoom } = this.orbit;
    const half = HALF_HEIGHT / Math.min(1, aspect);
    Object.assign(this.#camera, { left: -half * aspect, right: half * aspect, top: half, bottom: -half, zoom });
    const [yaw, pitch] = [yawDeg, pitchDeg].map(THREE.MathUtils.degToRad);
    this.#camera.position.setFromSphericalCoords(DISTANCE, Math.PI / 2 - pitch, yaw);
    this.#camera.lookAt(0, 0, 0);
    this.#camera.updateProjectionMatrix();
  }

  /** Dots somewhat larger than two voxels, so that they merge of the volume, which is as wide as the network's crop. */
  #dotPx(height) {
    const { shape } = this.#shown.face.volume;
    const voxel = 1.6 / shape[2];
    const perUnit = (height * this.orbit.zoom) / (this.#camera.top - this.#camera.bottom);
    return 2.2 * voxel * perUnit;
  }
}
