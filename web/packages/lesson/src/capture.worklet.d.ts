/** Where the build puts the worklet, relative to the script that asks. */
declare const url: string;
export default url;
