export { enter } from './session';
