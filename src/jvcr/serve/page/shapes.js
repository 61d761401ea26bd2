// What the 3D view shows, as three.js objects. Points come in the image frame and are converted by frames.js.

import * as THREE from "./three.module.min.js";
import { directionToViewer, imageToShare, imageToViewer } from "./frames.js";
import { between, depthColours, hiddenPoints } from "./look.js";

const POINT_RADIUS = 0.012;
const LINE_RADIUS = 0.0045;
const HIDDEN = { opacity: 0.35, thinner: 0.55 };
const UP = new THREE.Vector3(0, 1, 0);

const ball = new THREE.SphereGeometry(1, 20, 14);
const rod = new THREE.CylinderGeometry(1, 1, 1, 10, 1);
const tip = new THREE.ConeGeometry(1, 1, 20);

const colour = (rgb) => new THREE.Color().setRGB(...rgb.map((value) => value / 255), THREE.SRGBColorSpace);

/** Landmarks and lines; those on the hidden side are faint and thin. */
export function landmarkShapes(face, markup, frame) {
  const points = face.landmarks.map((point) => new THREE.Vector3(...imageToViewer(frame, point)));
  const colours = depthColours(face.landmarks);
  const hidden = hiddenPoints(face, markup);
  const group = new THREE.Group();
  for (const side of [false, true]) {
    const indices = [...points.keys()].filter((i) => hidden[i] === side);
    const edges = markup.edges.filter(([a, b]) => (hidden[a] && hidden[b]) === side);
    group.add(balls(indices, points, colours, side), rods(edges, points, colours, side));
  }
  return group;
}

function balls(indices, points, colours, hidden) {
  const mesh = new THREE.InstancedMesh(ball, matter(hidden), indices.length);
  const size = new THREE.Vector3().setScalar(POINT_RADIUS);
  indices.forEach((index, place) => {
    mesh.setMatrixAt(place, new THREE.Matrix4().compose(points[index], new THREE.Quaternion(), size));
    mesh.setColorAt(place, colour(colours[index]));
  });
  return mesh;
}

function rods(edges, points, colours, hidden) {
  const mesh = new THREE.InstancedMesh(rod, matter(hidden), edges.length);
  const radius = LINE_RADIUS * (hidden ? HIDDEN.thinner : 1);
  edges.forEach(([a, b], place) => {
    mesh.setMatrixAt(place, along(points[a], points[b], radius));
    mesh.setColorAt(place, colour(between(colours[a], colours[b])));
  });
  return mesh;
}

/** The matrix that puts a unit cylinder or cone between two points. */
function along(start, end, radius) {
  const direction = end.clone().sub(start);
  const length = Math.max(direction.length(), 1e-9);
  const turn = new THREE.Quaternion().setFromUnitVectors(UP, direction.divideScalar(length));
  const middle = start.clone().add(end).multiplyScalar(0.5);
  return new THREE.Matrix4().compose(middle, turn, new THREE.Vector3(radius, length, radius));
}

const matter = (hidden) =>
  new THREE.MeshLambertMaterial(hidden ? { transparent: true, opacity: HIDDEN.opacity, depthWrite: false } : {});

/**
 * The mask of the 68 points with the photo on it; `square` is where `texture` was cut out. Eyes and mouth are closed by
 * flat pieces, because the photo shows what is in them.
 */
export function skinShape(face, markup, frame, texture, square) {
  const geometry = new THREE.BufferGeometry();
  const positions = face.landmarks.flatMap((point) => imageToViewer(frame, point));
  const shares = face.landmarks.flatMap((point) => textureShare(square, point));
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(positions, 3));
  geometry.setAttribute("uv", new THREE.Float32BufferAttribute(shares, 2));
  geometry.setIndex([...markup.triangles, ...markup.openings.flatMap(fan)].flat());
  const material = new THREE.MeshBasicMaterial({ map: texture, polygonOffset: true, polygonOffsetFactor: 1 });
  // From behind, the mask is a plain dark surface.
  const back = new THREE.MeshBasicMaterial({ color: 0x2a2f3a, side: THREE.BackSide });
  const group = new THREE.Group();
  group.add(new THREE.Mesh(geometry, material), new THREE.Mesh(geometry, back));
  return group;
}

/** The triangles of a closed outline. It runs clockwise on the photo; triangles face the viewer the other way round. */
function fan(outline) {
  const [first, ...others] = outline;
  return others.slice(1).map((point, place) => [first, point, others[place]]);
}

/** Textures count upwards from the lower edge. */
function textureShare(square, point) {
  const [across, down] = imageToShare(square, point);
  return [across, 1 - down];
}

/** The photo, standing behind the head. */
export function planeShape(face, frame, texture, square) {
  const behind = Math.max(...face.landmarks.map((point) => point[2])) + 0.12 * frame.unit;
  const side = square.side / frame.unit;
  const plane = new THREE.Mesh(
    new THREE.PlaneGeometry(side, side),
    new THREE.MeshBasicMaterial({ map: texture, side: THREE.DoubleSide }),
  );
  plane.position.set(...imageToViewer(frame, [frame.x, frame.y, behind]));
  return plane;
}

/** The predicted volume: one soft dot for each voxel, brighter where the density is higher. */
export function cloudShape(volume, frame) {
  const geometry = new THREE.BufferGeometry();
  const positions = volume.points.flatMap((point) => imageToViewer(frame, point));
  const colours = volume.points.flatMap(([, , , value]) => cloudColour(Math.min(1, value)));
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(positions, 3));
  geometry.setAttribute("color", new THREE.Float32BufferAttribute(colours, 4));
  const material = new THREE.PointsMaterial({
    map: softDot(),
    vertexColors: true,
    transparent: true,
    depthWrite: false,
    blending: THREE.AdditiveBlending,
  });
  return new THREE.Points(geometry, material);
}

function cloudColour(value) {
  const weak = new THREE.Color(0x3a5bff);
  const { r, g, b } = weak.lerp(new THREE.Color(0xffffff), value ** 2);
  return [r, g, b, 0.08 + 0.3 * value ** 1.5];
}

let dot = null;
function softDot() {
  if (dot) return dot;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d");
  const shade = context.createRadialGradient(16, 16, 0, 16, 16, 16);
  shade.addColorStop(0, "rgb(255 255 255 / 1)");
  shade.addColorStop(1, "rgb(255 255 255 / 0)");
  context.fillStyle = shade;
  context.fillRect(0, 0, 32, 32);
  return (dot = new THREE.CanvasTexture(canvas));
}

const AXES = [
  { column: 0, sign: 1, colour: [255, 92, 92] }, // to the person's left
  { column: 1, sign: -1, colour: [80, 220, 120] }, // up
  { column: 2, sign: -1, colour: [90, 160, 255] }, // where the face points
];

/** The head's own axes as arrows from the middle of the landmarks. `rotation`: head frame → image frame. */
export function axesShape(face, frame) {
  const { rotation } = face.pose;
  const mean = [0, 1, 2].map((axis) => face.landmarks.reduce((sum, p) => sum + p[axis], 0) / face.landmarks.length);
  const start = new THREE.Vector3(...imageToViewer(frame, mean));
  const group = new THREE.Group();
  for (const axis of AXES) {
    const column = rotation.map((row) => axis.sign * row[axis.column]);
    group.add(...arrow(start, new THREE.Vector3(...directionToViewer(column)), axis.colour));
  }
  return group;
}

function arrow(start, direction, rgb) {
  const end = start.clone().addScaledVector(direction, 0.6);
  const neck = start.clone().addScaledVector(direction, 0.52);
  return [
    [rod, start, neck, 0.009],
    [tip, neck, end, 0.026],
  ].map(([geometry, from, to, radius]) => {
    // Seen through the skin, or an arrow would seem to float in front of it.
    const mesh = new THREE.Mesh(geometry, new THREE.MeshLambertMaterial({ color: colour(rgb), depthTest: false }));
    mesh.renderOrder = 1;
    mesh.applyMatrix4(along(from, to, radius));
    return mesh;
  });
}

/** A white ring of light around a landmark that is pointed at. */
export function markShape(face, frame, landmark) {
  const mesh = new THREE.Mesh(
    ball,
    new THREE.MeshBasicMaterial({ transparent: true, opacity: 0.45, depthTest: false }),
  );
  mesh.position.set(...imageToViewer(frame, face.landmarks[landmark]));
  mesh.scale.setScalar(2.4 * POINT_RADIUS);
  return mesh;
}

/** Free what a shape holds on the graphics card. Shared geometries stay. */
export function dispose(shape) {
  shape?.traverse((part) => {
    if (part.geometry && ![ball, rod, tip].includes(part.geometry)) part.geometry.dispose();
    part.material?.dispose();
    if (part.isInstancedMesh) part.dispose();
  });
}
