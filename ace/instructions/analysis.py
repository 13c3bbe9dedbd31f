"""Low-level visual analysis: from a photograph to a map of its depth, edges, poses and the like."""

from __future__ import annotations

from .slots import FEATURE
from .template import task

FAMILY = "analysis"

TEMPLATES = (
    task(
        FAMILY,
        "segmentation",
        ("Segmentation map", "图像分割"),
        (
            "Connect the photograph to {image}; the result paints each thing in a color of its own.",
            "将照片接到 {image}；结果会用不同颜色标出各个物体。",
        ),
        [
            ("Segment {image}.", "对 {image} 进行分割。"),
            ("Turn {image} into a segmentation map.", "将 {image} 转换为分割图。"),
            ("Mark every object of {image} with its own color.", "用不同颜色标出 {image} 中的每个物体。"),
            ("Show which regions {image} consists of.", "展示 {image} 由哪些区域组成。"),
            ("I need the segmentation result of {image}.", "我需要 {image} 的分割结果。"),
            ("Divide {image} into colored areas, one for each thing.", "把 {image} 划分为彩色区域，每个物体一块。"),
            ("Work out the segmentation of {image}, please.", "请求出 {image} 的分割。"),
        ],
    ),
    task(
        FAMILY,
        "depth",
        ("Depth map", "深度图"),
        (
            "Connect the photograph to {image}; in the result near things are bright and far things dark.",
            "将照片接到 {image}；结果中近处亮、远处暗。",
        ),
        [
            ("Estimate the depth of {image}.", "估计 {image} 的深度。"),
            ("Turn {image} into a depth map.", "将 {image} 转换为深度图。"),
            ("Show how near or far everything in {image} is.", "展示 {image} 中各处的远近。"),
            ("I want to see the depth map belonging to {image}.", "我想看 {image} 对应的深度图。"),
            ("Compute a map of distances from {image}.", "由 {image} 计算出距离图。"),
            ("Read the depth out of {image} and paint it in gray.", "从 {image} 中读出深度并用灰度画出。"),
            ("Depth estimation for {image}, please.", "请对 {image} 做深度估计。"),
        ],
    ),
    task(
        FAMILY,
        "pose",
        ("Human pose", "人体姿态"),
        (
            "Connect a picture of people to {image}; the result draws their skeletons on black.",
            "将含有人物的图像接到 {image}；结果在黑底上画出人体骨架。",
        ),
        [
            ("Detect the human pose in {image}.", "检测 {image} 中的人体姿态。"),
            ("Turn the people in {image} into pose skeletons.", "把 {image} 中的人物变成姿态骨架。"),
            ("Draw the body keypoints found in {image}.", "画出 {image} 中的人体关键点。"),
            ("How do the figures in {image} stand? Draw their pose map.", "{image} 中的人物是什么姿势？画出姿态图。"),
            ("Make a stick-figure posture picture from {image}.", "由 {image} 制作火柴人姿态图。"),
            ("I would like the pose estimation of {image}.", "我想要 {image} 的姿态估计结果。"),
        ],
    ),
    task(
        FAMILY,
        "mosaic",
        ("Mosaic", "马赛克"),
        (
            "Connect the picture to {image}; the Condition Image node does the same without a model.",
            "将图像接到 {image}；条件图像节点无需模型也能得到同样的效果。",
        ),
        [
            ("Pixelate {image}.", "将 {image} 像素化。"),
            ("Turn {image} into a mosaic.", "将 {image} 变成马赛克。"),
            ("Cover {image} with coarse square blocks.", "用粗大的方块覆盖 {image}。"),
            ("Hide the details of {image} behind a mosaic.", "用马赛克遮住 {image} 的细节。"),
            ("Make a blocky, pixelated version of {image}.", "制作 {image} 的方块像素版本。"),
            ("Please apply a mosaic effect to {image}.", "请给 {image} 加上马赛克效果。"),
        ],
    ),
    task(
        FAMILY,
        "degradation",
        ("Degraded picture", "图像退化"),
        (
            "Connect a clean picture to {image}; the result has noise and blur, for training or as a look.",
            "将清晰的图像接到 {image}；结果带有噪点和模糊，可用于训练或营造效果。",
        ),
        [
            ("Degrade the quality of {image}.", "降低 {image} 的画质。"),
            ("Add noise and blur to {image}.", "给 {image} 加上噪点和模糊。"),
            ("Make {image} look like a poor, noisy recording.", "让 {image} 看起来像劣质、带噪点的影像。"),
            ("Turn {image} into a low-quality picture.", "将 {image} 变成低画质图像。"),
            ("Spoil {image} as a bad camera would.", "像劣质相机那样破坏 {image} 的画质。"),
            ("I need a damaged, blurry copy of {image}.", "我需要一份受损、模糊的 {image} 副本。"),
        ],
    ),
    task(
        FAMILY,
        "grayscale",
        ("Grayscale", "灰度图"),
        (
            "Connect the picture to {image}; the Condition Image node does the same without a model.",
            "将图像接到 {image}；条件图像节点无需模型也能得到同样的效果。",
        ),
        [
            ("Convert {image} to grayscale.", "将 {image} 转换为灰度图。"),
            ("Take all color out of {image}.", "去掉 {image} 的全部颜色。"),
            ("Make {image} black and white.", "把 {image} 变成黑白。"),
            ("Show {image} in shades of gray only.", "只用深浅不同的灰色呈现 {image}。"),
            ("A gray version of {image}, please.", "请给出 {image} 的灰度版本。"),
            ("Drain {image} of its colors and keep the brightness.", "去除 {image} 的色彩，保留明暗。"),
        ],
    ),
    task(
        FAMILY,
        "edge",
        ("Edge map", "边缘图"),
        (
            "Connect the picture to {image}; for exact Canny edges use the Condition Image node instead.",
            "将图像接到 {image}；若需精确的 Canny 边缘，请改用条件图像节点。",
        ),
        [
            ("Detect the edges of {image}.", "检测 {image} 的边缘。"),
            ("Turn {image} into an edge map.", "将 {image} 转换为边缘图。"),
            ("Trace {image} with thin white lines on black.", "在黑底上用细白线描出 {image}。"),
            ("Give me the canny edges of {image}.", "给我 {image} 的 Canny 边缘。"),
            ("Keep nothing but the edges of {image}.", "只保留 {image} 的边缘。"),
            ("Run edge detection over {image}.", "对 {image} 执行边缘检测。"),
        ],
    ),
    task(
        FAMILY,
        "doodle",
        ("Doodle", "涂鸦"),
        (
            "Connect the picture to {image}; the result is a rough hand-drawn outline without details.",
            "将图像接到 {image}；结果是忽略细节的粗略手绘轮廓。",
        ),
        [
            ("Turn {image} into a doodle.", "将 {image} 变成涂鸦。"),
            ("Draw {image} as a rough hand sketch.", "把 {image} 画成粗略的手绘草图。"),
            ("Reduce {image} to a few scrawled outlines.", "把 {image} 简化为几笔潦草的轮廓。"),
            ("Extract a doodle from {image}.", "从 {image} 中提取涂鸦。"),
            ("What would {image} look like as a quick doodle?", "{image} 画成随手涂鸦会是什么样子？"),
            ("Make a simple doodle picture out of {image}.", "用 {image} 制作一张简单的涂鸦图。"),
        ],
    ),
    task(
        FAMILY,
        "contour",
        ("Contour drawing", "轮廓图"),
        (
            "Connect the picture to {image}; the result outlines each thing, as a draughtsman begins.",
            "将图像接到 {image}；结果勾勒出各物体的外形，如同作画的起稿。",
        ),
        [
            ("Extract the contours of {image}.", "提取 {image} 的轮廓。"),
            ("Turn {image} into a contour drawing.", "将 {image} 转换为轮廓图。"),
            ("Outline everything that can be seen in {image}.", "勾勒出 {image} 中可见的一切。"),
            ("Draw {image} with clean contour lines.", "用干净的轮廓线画出 {image}。"),
            ("From {image}, produce a contour picture.", "由 {image} 生成一张轮廓图。"),
            ("Only the outlines of {image} shall remain.", "只留下 {image} 的轮廓。"),
        ],
    ),
    task(
        FAMILY,
        "scribble",
        ("Scribble", "线稿"),
        (
            "Connect the picture to {image}; the result is line art as in an anime drawing.",
            "将图像接到 {image}；结果是动漫风格的线稿。",
        ),
        [
            ("Extract a scribble from {image}.", "从 {image} 中提取线稿。"),
            ("Turn {image} into line art.", "将 {image} 变成线稿。"),
            ("Sketch {image} with loose pen strokes.", "用松散的笔触勾画 {image}。"),
            ("Generate the scribble that matches {image}.", "生成与 {image} 对应的线稿。"),
            ("Show {image} as a scribble, please.", "请以线稿形式呈现 {image}。"),
            ("Redraw {image} in bare lines like a sketch.", "像速写一样只用线条重画 {image}。"),
        ],
    ),
    task(
        FAMILY,
        "region",
        ("Map of a region", "局部分析"),
        (
            "Connect the picture with a mask to {image}; only the masked region becomes a map.",
            "将图像连同遮罩接到 {image}；只有遮罩区域会变成特征图。",
        ),
        [
            ("Turn the masked area of {image} into a [feature].", "将 {image} 的遮罩区域转换为[feature]。"),
            ("In the mask of {image}, show the [feature].", "在 {image} 的遮罩内显示[feature]。"),
            ("Extract the [feature] of {image} inside the mask only.", "只提取 {image} 遮罩内的[feature]。"),
            ("Where {image} is masked, replace it by its [feature].", "在 {image} 被遮罩之处，换成它的[feature]。"),
            (
                "Give the region of {image} marked by the mask as a [feature].",
                "把 {image} 中遮罩标记的区域画成[feature]。",
            ),
            (
                "Keep {image}, but render its masked part as a [feature].",
                "保持 {image} 不变，只把遮罩部分画成[feature]。",
            ),
        ],
        slots=(FEATURE,),
        mask="keep",
    ),
)
