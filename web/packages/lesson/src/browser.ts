/** What of lessons needs a browser: sound and picture. */
export { Avatar } from './avatar';
export { openMicrophone } from './capture';
export type { Microphone } from './capture';
export { Voice, voiceProblem } from './voice';
