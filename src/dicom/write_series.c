/* write_series.c - a volume as a classic CT or MR series, one file a slice (PS3.3 A.3, A.4).
 *
 * Slice k is the plane of voxels (., ., k): its position is the world place of voxel (0, 0, k), its
 * directions are columns i and j of the grid. Columns i and j must be at a right angle, because
 * DICOM planes are; column k may point anywhere (feet first: against the normal; gantry tilt: not
 * along it).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "dicom_internal.h"

#define EXPLICIT_LITTLE "1.2.840.10008.1.2.1"
#define CT_CLASS "1.2.840.10008.5.1.4.1.1.2"
#define MR_CLASS "1.2.840.10008.5.1.4.1.1.4"

typedef struct plane {
    double orientation[6], spacing[2]; /* between rows, between columns */
    double step_mm, tilt_degrees;
} plane;

static double column(const fab_mat34 *m, int c, double unit[3])
{
    double length =
        sqrt(m->m[0][c] * m->m[0][c] + m->m[1][c] * m->m[1][c] + m->m[2][c] * m->m[2][c]);
    for (int i = 0; i < 3; i++) unit[i] = m->m[i][c] / length;
    return length;
}

static fab_status make_plane(const fab_grid *g, plane *p, fab_error *err)
{
    double k[3], n[3];
    double *u = p->orientation, *v = p->orientation + 3;
    p->spacing[1] = column(&g->world_from_voxel, 0, u);
    p->spacing[0] = column(&g->world_from_voxel, 1, v);
    double length = column(&g->world_from_voxel, 2, k), along = 0;
    double right = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    if (fabs(right) > 1e-6)
        FAB_FAIL(err, FAB_ERR_GEOMETRY,
                 "DICOM slices have rows and columns at a right angle; these "
                 "have a cosine of %g",
                 right);
    for (int i = 0; i < 3; i++) {
        int a = (i + 1) % 3, b = (i + 2) % 3;
        n[i] = u[a] * v[b] - u[b] * v[a];
        along += n[i] * k[i];
    }
    p->step_mm = fabs(along) * length;
    p->tilt_degrees = acos(fmin(fabs(along), 1)) * 180.0 / 3.14159265358979323846;
    return FAB_OK;
}

/* What every slice of the series says alike. */
static void put_patient_and_study(fab_dcm *d, const fab_series_write *how)
{
    fab_dcm_item *r = fab_dcm_root(d);
    char uid[FAB_UID_BYTES];
    fab_dcm_text(d, r, 0x00080005, "ISO_IR 192");
    fab_dcm_text(d, r, 0x00080020, how->study_date);
    fab_dcm_text(d, r, 0x00080030, how->study_time);
    fab_dcm_text(d, r, 0x00080050, "");
    fab_dcm_text(d, r, 0x00080060, how->modality);
    fab_dcm_text(d, r, 0x00080070, how->manufacturer ? how->manufacturer : "Fabrica");
    fab_dcm_text(d, r, 0x00080090, "");
    if (how->study_description) fab_dcm_text(d, r, 0x00081030, how->study_description);
    if (how->series_description) fab_dcm_text(d, r, 0x0008103e, how->series_description);
    fab_dcm_text(d, r, 0x00100010, how->patient_name);
    fab_dcm_text(d, r, 0x00100020, how->patient_id);
    fab_dcm_text(d, r, 0x00100030, how->patient_birth_date);
    fab_dcm_text(d, r, 0x00100040, how->patient_sex);
    fab_dicom_uid_derive(uid, "study", how->uid_seed, 0);
    fab_dcm_text(d, r, 0x0020000d, uid);
    fab_dcm_text(d, r, 0x00200010, "1");
    fab_dcm_text(d, r, 0x00200060, "");
    fab_dicom_uid_derive(uid, "frame", how->uid_seed, 0);
    fab_dcm_text(d, r, 0x00200052, uid);
    fab_dcm_text(d, r, 0x00201040, "");
}

static void put_series(fab_dcm *d, const fab_series_write *how, const plane *p, bool is_ct)
{
    fab_dcm_item *r = fab_dcm_root(d);
    char uid[FAB_UID_BYTES];
    double thickness = how->slice_thickness_mm > 0 ? how->slice_thickness_mm : p->step_mm;
    fab_dicom_uid_derive(uid, is_ct ? "series-ct" : "series-mr", how->uid_seed, how->series_number);
    fab_dcm_text(d, r, 0x0020000e, uid);
    fab_dcm_integer(d, r, 0x00200011, how->series_number);
    fab_dcm_text(d, r, 0x00185100, "HFS");
    fab_dcm_decimals(d, r, 0x00180050, &thickness, 1);
    fab_dcm_text(d, r, 0x00080016, is_ct ? CT_CLASS : MR_CLASS);
    if (is_ct) {
        fab_dcm_text(d, r, 0x00080008, "ORIGINAL\\PRIMARY\\AXIAL");
        fab_dcm_text(d, r, 0x00180060, "");
        if (p->tilt_degrees > 0.01) fab_dcm_decimals(d, r, 0x00181120, &p->tilt_degrees, 1);
        return;
    }
    fab_dcm_text(d, r, 0x00080008, "ORIGINAL\\PRIMARY\\OTHER");
    fab_dcm_text(d, r, 0x00180020, "RM"); /* research mode: no physical sequence */
    fab_dcm_text(d, r, 0x00180021, "NONE");
    fab_dcm_text(d, r, 0x00180022, "");
    fab_dcm_text(d, r, 0x00180023, "2D");
    fab_dcm_text(d, r, 0x00180080, "");
    fab_dcm_text(d, r, 0x00180081, "");
    fab_dcm_text(d, r, 0x00180091, "");
}

static void put_u16(fab_dcm *d, uint32_t tag, uint16_t value)
{
    fab_dcm_u16(d, fab_dcm_root(d), tag, &value, 1);
}

static void put_slice(fab_dcm *d, const fab_volume *v, const fab_series_write *how,
                      const plane *p, int32_t k)
{
    const fab_grid *g = fab_volume_grid(v);
    fab_dcm_item *r = fab_dcm_root(d);
    char uid[FAB_UID_BYTES], seed[FAB_UID_BYTES + 300];
    bool is_ct = strcmp(how->modality, "CT") == 0, is_signed = fab_volume_dtype(v) == FAB_I16;
    double position[3] = {0, 0, (double)k};
    double rescale[2] = {how->rescale_slope != 0 ? how->rescale_slope : 1, how->rescale_intercept};
    fab_mat34_apply(&g->world_from_voxel, position, position);
    snprintf(seed, sizeof seed, "%s %s %d", how->modality, how->uid_seed, how->series_number);
    fab_dicom_uid_derive(uid, "instance", seed, k);
    fab_dcm_text(d, r, 0x00080018, uid);
    fab_dcm_integer(d, r, 0x00200012, 1);
    fab_dcm_integer(d, r, 0x00200013, k + 1);
    fab_dcm_decimals(d, r, 0x00200032, position, 3);
    fab_dcm_decimals(d, r, 0x00200037, p->orientation, 6);
    put_u16(d, 0x00280002, 1);
    fab_dcm_text(d, r, 0x00280004, "MONOCHROME2");
    put_u16(d, 0x00280010, (uint16_t)g->size[1]);
    put_u16(d, 0x00280011, (uint16_t)g->size[0]);
    fab_dcm_decimals(d, r, 0x00280030, p->spacing, 2);
    put_u16(d, 0x00280100, 16);
    put_u16(d, 0x00280101, 16);
    put_u16(d, 0x00280102, 15);
    put_u16(d, 0x00280103, is_signed);
    if (is_ct || how->rescale_slope != 0) {
        fab_dcm_decimals(d, r, 0x00281052, &rescale[1], 1);
        fab_dcm_decimals(d, r, 0x00281053, &rescale[0], 1);
        fab_dcm_text(d, r, 0x00281054, is_ct ? "HU" : "US");
    }
    size_t cells = (size_t)g->size[0] * (size_t)g->size[1];
    fab_dcm_pixels_u16(d, (const uint16_t *)fab_volume_data(v) + cells * (size_t)k, cells);
}

static fab_status check_request(const fab_volume *v, const fab_series_write *how, fab_error *err)
{
    bool known =
        how->modality && (strcmp(how->modality, "CT") == 0 || strcmp(how->modality, "MR") == 0);
    if (!known) FAB_FAIL(err, FAB_ERR_ARG, "only CT and MR series are written");
    if (!how->uid_seed || !how->uid_seed[0]) FAB_FAIL(err, FAB_ERR_ARG, "no seed for the UIDs");
    fab_dtype t = fab_volume_dtype(v);
    if (t != FAB_I16 && t != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "a series is written from int16 or uint16 voxels, not %s",
                 fab_dtype_name(t));
    return FAB_OK;
}

static fab_status write_slice(const fab_volume *v, const fab_series_write *how, const plane *p,
                              int32_t k, const char *folder, fab_error *err)
{
    char name[32], path[FAB_MAX_PATH_BYTES];
    FAB_AUTO_BUF fab_buf bytes = {0};
    FAB_AUTO(fab_dcm_free) fab_dcm *d = fab_dcm_create();
    if (!d) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a slice");
    put_patient_and_study(d, how);
    put_series(d, how, p, strcmp(how->modality, "CT") == 0);
    put_slice(d, v, how, p, k);
    FAB_TRY(fab_dcm_write(d, how->transfer_syntax ? how->transfer_syntax : EXPLICIT_LITTLE, &bytes,
                          err));
    snprintf(name, sizeof name, "IMG%05d.dcm", k + 1);
    FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
    return fab_file_write_atomic(path, bytes.data, bytes.size, err);
}

fab_status fab_dicom_write_series(const fab_volume *v, const fab_series_write *how,
                                  const char *folder, fab_error *err)
{
    plane p;
    FAB_TRY(check_request(v, how, err));
    FAB_TRY(make_plane(fab_volume_grid(v), &p, err));
    FAB_TRY(fab_path_make_subfolder(folder, err));
    for (int32_t k = 0; k < fab_volume_grid(v)->size[2]; k++)
        FAB_TRY(write_slice(v, how, &p, k, folder, err));
    return FAB_OK;
}
