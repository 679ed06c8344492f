/** Where the build puts the worker, relative to the script that asks. */
declare const url: string;
export default url;
