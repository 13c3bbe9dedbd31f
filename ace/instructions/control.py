"""Controllable generation: the way back, from a map to a picture. Drawn maps first, damaged pictures in restoration."""

from __future__ import annotations

from .slots import CAPTION, FEATURE
from .template import Slot, Text, task

FAMILY = "control"

_PERSON = Slot(
    "caption",
    CAPTION.description,
    Text("a dancer in a yellow dress on a rooftop at dusk", "黄昏的屋顶上，一位穿黄裙的舞者"),
)

TEMPLATES = (
    task(
        FAMILY,
        "segmentation",
        ("From a segmentation map", "由分割图生成"),
        (
            "Wire a map of colored regions into {image}: a segmentor of a ControlNet preprocessor pack "
            "(comfyui_controlnet_aux: OneFormer), or a Segment Anything pack.",
            "将彩色区域图接到 {image}：可用 ControlNet 预处理器包中的分割节点"
            "（comfyui_controlnet_aux 的 OneFormer），或 Segment Anything 类节点包。",
        ),
        [
            (
                'Follow the regions of the segmentation map {image} and paint "[caption]"',
                "按照分割图 {image} 的区域，画出“[caption]”",
            ),
            (
                'Fill the areas of {image} so that they become "[caption]"',
                "填充 {image} 的各个区域，使其成为“[caption]”",
            ),
            (
                'The segmentation {image} is the plan; the picture is "[caption]"',
                "分割图 {image} 是布局；画面是“[caption]”",
            ),
            (
                'Turn the segmentation {image} into a photograph of "[caption]"',
                "将分割图 {image} 变成“[caption]”的照片",
            ),
            (
                'Generate an image from the colored segments {image} that shows "[caption]"',
                "由彩色分割块 {image} 生成图像，内容为“[caption]”",
            ),
            ("Turn the segmentation map {image} into a realistic picture.", "将分割图 {image} 变成写实图像。"),
            ("Generate an image whose regions agree with {image}.", "生成一张区域与 {image} 一致的图像。"),
            ("Paint over the segments of {image} with real things.", "在 {image} 的分割块上画出真实的物体。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "depth",
        ("From a depth map", "由深度图生成"),
        (
            "Wire a depth map (near is bright) from a ControlNet preprocessor pack into {image} "
            "(comfyui_controlnet_aux: MiDaS, which the model was trained with, or Depth Anything).",
            "将 ControlNet 预处理器包生成的深度图（近处亮）接到 {image}"
            "（comfyui_controlnet_aux：训练所用的 MiDaS，或 Depth Anything）。",
        ),
        [
            ('Use the depth map {image} to build "[caption]"', "利用深度图 {image} 构建“[caption]”"),
            ('Let the distances in {image} shape a picture of "[caption]"', "以 {image} 中的远近塑造“[caption]”的画面"),
            ('With {image} as depth, generate "[caption]"', "以 {image} 为深度，生成“[caption]”"),
            ('Turn the depth map {image} into an image of "[caption]"', "将深度图 {image} 变成“[caption]”的图像"),
            (
                'Keep the space described by the depth {image} and paint "[caption]" in it',
                "保持深度图 {image} 描述的空间，在其中画出“[caption]”",
            ),
            ("Turn the depth map {image} into a realistic picture.", "将深度图 {image} 变成写实图像。"),
            ("Generate an image with the depth of {image}.", "生成一张深度与 {image} 相同的图像。"),
            ("Give the gray depth {image} color, light and material.", "为灰度深度图 {image} 赋予颜色、光线和材质。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "pose",
        ("From a human pose", "由人体姿态生成"),
        (
            "Wire a skeleton drawing on black from a ControlNet preprocessor pack into {image} "
            "(comfyui_controlnet_aux: DWPose or OpenPose), body only.",
            "将 ControlNet 预处理器包生成的黑底骨架图接到 {image}"
            "（comfyui_controlnet_aux：DWPose 或 OpenPose），只需身体部分。",
        ),
        [
            ('Give the pose {image} to the following person: "[caption]"', "让以下人物摆出姿态 {image}：“[caption]”"),
            ('Turn the skeleton {image} into "[caption]"', "将骨架 {image} 变成“[caption]”"),
            ('Following the posture {image}, draw "[caption]"', "按照姿势 {image}，画出“[caption]”"),
            ('A picture of "[caption]", posed as {image} shows', "一张“[caption]”的图像，姿势如 {image} 所示"),
            ('From the pose map {image}, generate "[caption]" in color', "由姿态图 {image} 生成彩色的“[caption]”"),
            ("Turn the pose {image} into a realistic person.", "将姿态 {image} 变成写实的人物。"),
            ("Generate people who stand exactly as in {image}.", "生成姿势与 {image} 完全一致的人物。"),
            ("Put flesh and clothes on the skeleton {image}.", "为骨架 {image} 添上血肉和衣服。"),
        ],
        slots=(_PERSON,),
    ),
    task(
        FAMILY,
        "edge",
        ("From an edge map", "由边缘图生成"),
        (
            "Wire the Condition Image node's Canny edges (white on black) into {image}; core's Canny node fits too.",
            "将条件图像节点的 Canny 边缘（黑底白线）接到 {image}；核心自带的 Canny 节点也可以。",
        ),
        [
            ('Fill the edges {image} with "[caption]"', "将边缘 {image} 填充为“[caption]”"),
            ('Keep every edge of {image} and paint "[caption]"', "保留 {image} 的每条边缘，画出“[caption]”"),
            ('Turn the edge map {image} into a picture of "[caption]"', "将边缘图 {image} 变成“[caption]”的图像"),
            ('With the canny lines {image}, generate "[caption]"', "利用 Canny 线条 {image}，生成“[caption]”"),
            ('The edges are {image}, the picture is "[caption]"', "边缘是 {image}，画面是“[caption]”"),
            ("Turn the edge map {image} into a realistic picture.", "将边缘图 {image} 变成写实图像。"),
            ("Generate an image that has the edges of {image}.", "生成一张具有 {image} 边缘的图像。"),
            ("Color in the lines of {image}.", "给 {image} 的线条填上颜色。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "doodle",
        ("From a doodle", "由涂鸦生成"),
        (
            "Wire your own rough drawing into {image}, or soft edges of a ControlNet preprocessor pack "
            "(comfyui_controlnet_aux: PiDiNet).",
            "将自己的粗略手绘接到 {image}，或使用 ControlNet 预处理器包的软边缘（comfyui_controlnet_aux：PiDiNet）。",
        ),
        [
            ('Make the doodle {image} into "[caption]"', "将涂鸦 {image} 变成“[caption]”"),
            (
                'My rough drawing {image} stands for "[caption]", finish it',
                "我的草图 {image} 表示“[caption]”，请完成它",
            ),
            ('Guided by the doodle {image}, paint "[caption]"', "以涂鸦 {image} 为引导，画出“[caption]”"),
            (
                'Turn the scrawl {image} into a real picture of "[caption]"',
                "将潦草的 {image} 变成“[caption]”的真实画面",
            ),
            ('Generate "[caption]" from the simple doodle {image}', "根据简单涂鸦 {image} 生成“[caption]”"),
            ("Turn the doodle {image} into a finished picture.", "将涂鸦 {image} 变成完成的画作。"),
            ("Generate the scene that the doodle {image} suggests.", "生成涂鸦 {image} 所暗示的场景。"),
            ("Make something beautiful of the rough drawing {image}.", "把草图 {image} 变成精美的作品。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "contour",
        ("From a contour drawing", "由轮廓图生成"),
        (
            "Wire the Condition Image node's contour into {image}; nearer to the training data is Realistic Lineart "
            "of comfyui_controlnet_aux.",
            "将条件图像节点的轮廓接到 {image}；comfyui_controlnet_aux 的 Realistic Lineart 更接近训练数据。",
        ),
        [
            ('Within the contours {image}, paint "[caption]"', "在轮廓 {image} 之内画出“[caption]”"),
            ('Turn the contour drawing {image} into "[caption]"', "将轮廓图 {image} 变成“[caption]”"),
            ('Let "[caption]" grow out of the outlines {image}', "让“[caption]”从轮廓 {image} 中生长出来"),
            (
                'Finish the outline picture {image} so that it shows "[caption]"',
                "完成轮廓图 {image}，使其展现“[caption]”",
            ),
            ('Generate "[caption]" with the outlines of {image}', "生成“[caption]”，轮廓取自 {image}"),
            ("Turn the contour drawing {image} into a realistic picture.", "将轮廓图 {image} 变成写实图像。"),
            ("Generate an image bounded by the contours of {image}.", "生成一张以 {image} 轮廓为界的图像。"),
            ("Restore the full picture behind the outlines {image}.", "还原轮廓 {image} 背后的完整画面。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "scribble",
        ("From a scribble", "由线稿生成"),
        (
            "Wire your own line art into {image}, or lines of a ControlNet preprocessor pack "
            "(comfyui_controlnet_aux: Anime Lineart).",
            "将自己的线稿接到 {image}，或使用 ControlNet 预处理器包的线条（comfyui_controlnet_aux：Anime Lineart）。",
        ),
        [
            ('Turn the scribble {image} into "[caption]"', "将线稿 {image} 变成“[caption]”"),
            ('Color the line art {image} as "[caption]"', "将线稿 {image} 上色为“[caption]”"),
            ('Generate "[caption]" over the pen strokes of {image}', "生成“[caption]”，覆盖在 {image} 的笔触之上"),
            ('The sketch is {image}; make it "[caption]"', "草图是 {image}；把它变成“[caption]”"),
            (
                'According to the scribble {image}, create an image of "[caption]"',
                "根据线稿 {image}，创作“[caption]”的图像",
            ),
            ("Turn the scribble {image} into a finished picture.", "将线稿 {image} 变成完成的画作。"),
            ("Generate the image that the scribble {image} belongs to.", "生成线稿 {image} 所属的图像。"),
            ("Bring the line art {image} to life with color and light.", "用色彩和光线让线稿 {image} 鲜活起来。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "color-map",
        ("From a color map", "由色块图生成"),
        (
            "Wire the Condition Image node's color map into {image}. The paper uses color maps only together with "
            "other maps, so expect more of reference-conditions.",
            "将条件图像节点的色块图接到 {image}。论文中色块图只与其他条件图一起使用，"
            "因此 reference-conditions 的效果通常更好。",
        ),
        [
            ('Take the colors of {image} and paint "[caption]"', "取 {image} 的颜色，画出“[caption]”"),
            ('With the color map {image}, generate "[caption]"', "利用色块图 {image}，生成“[caption]”"),
            ('The color blocks {image} shall become "[caption]"', "让色块 {image} 变成“[caption]”"),
            (
                'Refine the coarse colors {image} into a picture of "[caption]"',
                "将粗略的色彩 {image} 细化为“[caption]”的图像",
            ),
            ("Turn the color map {image} into a realistic picture.", "将色块图 {image} 变成写实图像。"),
            ("Generate an image with the color layout of {image}.", "生成一张色彩布局与 {image} 相同的图像。"),
            ("Put detail into the color blocks of {image}.", "为 {image} 的色块添加细节。"),
        ],
        slots=(CAPTION,),
    ),
    task(
        FAMILY,
        "region",
        ("From a map of a region", "由局部条件图生成"),
        (
            "Connect a picture to {image} whose masked region has been replaced by a map of it (paste the map in "
            "through the mask); only that region is generated.",
            "将遮罩区域已替换为条件图的图像接到 {image}（按遮罩把条件图贴入）；只生成该区域。",
        ),
        [
            (
                'Follow the [feature] in the mask of {image} and paint "[caption]" there',
                "按照 {image} 遮罩内的[feature]，在该处画出“[caption]”",
            ),
            (
                'Turn the masked [feature] of {image} into "[caption]"',
                "将 {image} 中被遮罩的[feature]变成“[caption]”",
            ),
            (
                'The mask of {image} holds a [feature]; make it "[caption]"',
                "{image} 的遮罩中是[feature]；把它变成“[caption]”",
            ),
            (
                'Complete {image} where the mask shows a [feature], with "[caption]"',
                "在 {image} 中遮罩显示[feature]之处，补全为“[caption]”",
            ),
            (
                "Turn the [feature] in the mask of {image} back into a picture.",
                "将 {image} 遮罩内的[feature]还原为图像。",
            ),
            (
                "Make the region of {image} drawn as a [feature] look real.",
                "让 {image} 中画成[feature]的区域变得真实。",
            ),
            (
                "Fill the masked part of {image} according to its [feature].",
                "按照[feature]填充 {image} 的遮罩部分。",
            ),
        ],
        slots=(FEATURE, CAPTION),
        mask="keep",
    ),
)
