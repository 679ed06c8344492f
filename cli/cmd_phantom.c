/* cmd_phantom.c - fabrica phantom: a synthetic patient with known truth. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', CLI_PATH, "DIR", "the folder to make (required)"},
    {"seed", 0, CLI_INT, "N", "same seed and options, same bytes", 0, 4294967295.0},
    {"cobb", 0, CLI_REAL, "DEG", "scoliosis: Cobb angle", 0.0, 90.0},
    {"rotation", 0, CLI_REAL, "DEG", "axial rotation at the apex; default: follows Cobb", -60, 60},
    {"apex", 0, CLI_REAL, "LEVELS",
     "apex of the curve, levels above T12-L1 (-1.5 is L2, 4 is T9); default: by the seed", -3, 8},
    {"convex", 0, CLI_CHOICE, "usual|left|right", "side the curve bulges to; usual for its apex"},
    {"lordosis", 0, CLI_REAL, "DEG", "lumbar lordosis", 0.0, 90.0},
    {"kyphosis", 0, CLI_REAL, "DEG", "thoracic kyphosis", 0.0, 90.0},
    {"age", 0, CLI_REAL, "YEARS", "age", 5.0, 110.0},
    {"height", 0, CLI_REAL, "MM", "body height", 1000.0, 2200.0},
    {"sex", 0, CLI_CHOICE, "f|m", "sex"},
    {"fat", 0, CLI_REAL, "F", "fat beneath the skin, 1 is average; default: by sex and seed",
     0.3, 4},
    {"lumbar", 0, CLI_INT, "N", "lumbar vertebrae", 4, 6},
    {"stenosis", 0, CLI_REAL, "F", "narrowing of the canal, 0 to 1", 0.0, 1.0},
    {"stenosis-level", 0, CLI_INT, "N", "lumbar level of the stenosis", 1, 6},
    {"metal", 0, CLI_FLAG, NULL, "pedicle screws"},
    {"modality", 0, CLI_CHOICE, "ct|mr-t1|mr-t2", "kind of images"},
    {"phase", 0, CLI_CHOICE, "native|arterial|portal", "contrast phase"},
    {"kernel", 0, CLI_CHOICE, "soft|bone", "reconstruction kernel of a CT"},
    {"noise", 0, CLI_REAL, "HU", "standard deviation at the centre", 0.0, 500.0},
    {"spacing", 0, CLI_VECTOR, "X,Y,Z", "voxel size in mm, one number or three", 0.2, 20.0},
    {"thickness", 0, CLI_REAL, "MM", "slice thickness; default: the slice spacing", 0.1, 20.0},
    {"range", 0, CLI_TEXT, "FROM,TO", "part of the body kept, mm above the sacrum"},
    {"fov", 0, CLI_TEXT, "WIDTH,DEPTH", "size of the image in mm; default: the whole body"},
    {"replace", 0, CLI_FLAG, NULL, "replace the folder if it exists"},
    {0}};

/* Position of text among "a|b|c". */
static int choice(const char *choices, const char *text)
{
    int index = 0;
    for (const char *at = choices; *at; index++) {
        size_t n = strcspn(at, "|");
        if (strlen(text) == n && strncmp(at, text, n) == 0) return index;
        at += n + (at[n] == '|');
    }
    return -1;
}

static bool read_range(const cli_call *call, double range[2])
{
    char rest = 0;
    const char *text = cli_text(call, "range", NULL);
    if (!text) return true;
    if (sscanf(text, "%lf,%lf%c", &range[0], &range[1], &rest) == 2 && range[1] > range[0])
        return true;
    cli_usage_error(call, "--range takes two numbers, FROM,TO, the second larger: not \"%s\"",
                    text);
    return false;
}

static bool read_fov(const cli_call *call, double fov[2])
{
    char rest = 0;
    const char *text = cli_text(call, "fov", NULL);
    if (!text) return true;
    if (sscanf(text, "%lf,%lf%c", &fov[0], &fov[1], &rest) == 2 && fov[0] >= 10 &&
        fov[0] <= 1000 && fov[1] >= 10 && fov[1] <= 1000)
        return true;
    cli_usage_error(call, "--fov takes two numbers, WIDTH,DEPTH, from 10 to 1000: not \"%s\"",
                    text);
    return false;
}

static int chosen(const cli_call *call, const char *name, const char *choices, int otherwise)
{
    return cli_has(call, name) ? choice(choices, cli_text(call, name, "")) : otherwise;
}

static void read_options(const cli_call *call, fab_phantom_options *p)
{
    p->seed = (uint64_t)cli_int(call, "seed", (long)p->seed);
    p->cobb_deg = cli_real(call, "cobb", p->cobb_deg);
    p->axial_rotation_deg = cli_real(call, "rotation", p->axial_rotation_deg);
    p->lordosis_deg = cli_real(call, "lordosis", p->lordosis_deg);
    p->kyphosis_deg = cli_real(call, "kyphosis", p->kyphosis_deg);
    p->age_years = cli_real(call, "age", p->age_years);
    p->height_mm = cli_real(call, "height", p->height_mm);
    if (cli_has(call, "sex")) p->female = strcmp(cli_text(call, "sex", "f"), "f") == 0;
    p->lumbar_count = (int)cli_int(call, "lumbar", p->lumbar_count);
    p->stenosis = cli_real(call, "stenosis", p->stenosis);
    p->stenosis_level = (int)cli_int(call, "stenosis-level", p->stenosis_level);
    p->metal = cli_has(call, "metal") || p->metal;
    p->modality =
        (fab_phantom_modality)chosen(call, "modality", "ct|mr-t1|mr-t2", (int)p->modality);
    p->contrast_phase = chosen(call, "phase", "native|arterial|portal", p->contrast_phase);
    p->kernel = (fab_phantom_kernel)chosen(call, "kernel", "soft|bone", (int)p->kernel);
    p->apex = cli_real(call, "apex", p->apex);
    p->fat = cli_real(call, "fat", p->fat);
    static const int sides[] = {0, 1, -1};
    p->convex_side = sides[chosen(call, "convex", "usual|left|right", 0)];
    p->noise_hu = cli_real(call, "noise", p->noise_hu);
    cli_vector(call, "spacing", p->spacing_mm);
    if (cli_has(call, "spacing")) p->slice_thickness_mm = p->spacing_mm[2];
    p->slice_thickness_mm = cli_real(call, "thickness", p->slice_thickness_mm);
}

static int run(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    const char *output = cli_text(call, "output", NULL);
    if (!output) return cli_usage_error(call, "needs -o DIR, the folder to make");
    fab_phantom_job o = {.output = output, .replace = cli_has(call, "replace")};
    fab_phantom_options_default(&o.phantom);
    read_options(call, &o.phantom);
    if (!read_range(call, o.phantom.range_mm) || !read_fov(call, o.phantom.fov_mm))
        return CLI_EXIT_USAGE;
    o.watch = cli_begin(call);
    fab_status status = fab_job_phantom(&o, &summary, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    cli_say(call, "%s/dicom: the series; %s/truth: labels.nii.gz, labels.json, truth.json\n",
            output, output);
    return code;
}

static const char *const examples[] = {
    "a girl with a scoliosis", "fabrica phantom --cobb 35 --age 14 --sex f --seed 7 -o patient",
    "a small one for a quick try", "fabrica phantom --spacing 3 -o patient", NULL};

const cli_command cli_phantom = {
    "phantom", "", "make a synthetic patient with known truth", 0, 0,
    "Writes a DICOM series of a parametric patient to DIR/dicom and the truth to DIR/truth: label "
    "map, its table, and landmarks with the Cobb angle.",
    examples, options, run};
