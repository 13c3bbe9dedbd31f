// What the server says on nodes and in errors. Keys are the sentences as they stand in its code, with {} for each gap; in the
// translation, {0} is what stands in the first gap, {#0} the same where it is a number.
export const sentences = {
    "note: {}": "提示：{0}",
    "{} min": "{#0} 分钟",
    "{} s": "{#0} 秒",
    "{} h {} min": "{#0} 小时 {#1} 分钟",
    "{} and {}": "{0}，并且{1}",
    "{}. {}": "{0}。{1}",
    "the picture": "图像",
    "the mask": "遮罩",
    "the picture for {}": "{0} 的图像",
    "the mask of {}": "{0} 的遮罩",
    "the result": "结果",
    "the instruction": "指令",

    "{}: {} of {}": "{0}：{#1} / {#2}",
    "encoding pictures": "正在编码图像",
    "encoding texts": "正在编码文本",
    "{} pairs, {} held out, on {}": "{#0} 对训练，留出 {#1} 对，设备 {2}",
    "none of the {} pairs of {} was held out: {} now are, to measure the student on pictures that it has not learnt. The page of datasets shows them (split), and moves them back":
        "{1} 的 {#0} 对图像都没有留出：现已留出 {#2} 对，用学生模型没学过的图像来衡量它。数据集页面会显示它们（划分），也可以改回来",
    "step {} of {}": "第 {#0} / {#1} 步",
    "loss {}": "损失 {#0}",
    "held out {}": "留出损失 {#0}",
    "{} min left": "剩余 {#0} 分钟",
    "stopped at step {}": "停在第 {#0} 步",
    "{} at step {}": "{0}，第 {#1} 步",
    "no curves for TensorBoard: the package tensorboard is not installed": "没有 TensorBoard 曲线：未安装 tensorboard 包",
    "{}\n{}\nWorkflows: {}": "{0}\n{1}\n工作流：{2}",
    "{}\nThe run is kept in {}; another name on the node starts anew": "{0}\n运行保存在 {1}；在节点上换一个名称即可重新开始",
    "the training ended with code {}:\n{}": "训练以代码 {0} 结束：\n{1}",
    "connect a dataset (from Load Dataset), or choose one by its name": "请连接数据集（来自“加载数据集”），或按名称选择一个",
    "there is no configuration {}; put it into {} and refresh the page": "没有配置 {0}；请把它放入 {1} 并刷新页面",
    "{} is there already and is not from this training; choose another name": "{0} 已存在，且不是这次训练的结果；请换一个名称",
    "the model {} is not on this machine; fetch it with Load Bundle first": "这台机器上没有模型 {0}；请先用“加载模型包”下载",
    "no pair is left to train on in {}; left out: {}. {}": "{0} 中没有可用于训练的图像对；已略过：{1}。{2}",

    "The student can take the teacher's place: {}.": "学生模型可以取代教师：{0}。",
    "The student may take the teacher's place, but look at the pictures first: {}.": "学生模型或许可以取代教师，但请先看图：{0}。",
    "The student cannot take the teacher's place: {}.": "学生模型还不能取代教师：{0}。",
    "Whether the student can take the teacher's place cannot be said from {} held-out pair{}; {} or more are needed.":
        "只有 {#0} 对留出的图像，无法判断学生模型能否取代教师；至少需要 {#2} 对。",
    "Whether the student can take the teacher's place cannot be said: it was measured on pairs it was trained on.":
        "无法判断学生模型能否取代教师：它是在训练过的图像对上测量的。",
    "Whether the student can take the teacher's place cannot be said by distances alone, since these pairs have no source; have a judge look at them.":
        "这些图像对没有源图，仅凭距离无法判断学生模型能否取代教师；请让评审模型来看。",
    "it goes {} of the way from the unedited picture to the best that this model can paint": "从未编辑的图像到该模型能画出的最好结果，它走完了 {#0}",
    "it is no nearer to the teacher than the unedited source": "它并不比未编辑的源图更接近教师",
    "fine detail is kept": "细节得到保留",
    "it is softer: {} of the fine detail that its VAE can paint": "它偏柔和，只有其 VAE 能画出的细节的 {#0}",
    "it is grainier: {} of the fine detail that its VAE can paint": "它颗粒偏重，是其 VAE 能画出的细节的 {#0}",
    "it has all the fine detail that its VAE can paint ({} of the teacher's)": "它有其 VAE 能画出的全部细节，为教师的 {#0}",

    "Samples as the model does, {}: cheaper ways were not near enough.": "按模型自己的方式采样（{0}）：更省的方式都不够接近。",
    "Samples {}, {} evaluation{} of the model a picture instead of {} ({} times fewer), and stays within {} of its score.":
        "采样方式：{0}，每张图像只需计算模型 {#1} 次而不是 {#3} 次（少 {#4} 倍），得分损失不超过 {#5}。",
    "with {} step{} {}": "{#0} 步，{2}",
    "without guidance": "不用引导",
    "with guidance {}": "引导强度 {#0}",

    "{}: pictures are sent to {}": "{0}：图像发送到 {1}",
    "{} runs on this computer": "{0} 在这台电脑上运行",
    "{} pairs got texts": "{#0} 对得到文字",
    "{} were left without": "{#0} 对没有得到",
    "{} were known": "{#0} 对先前已有",
    "{} scored": "{#0} 对得到评分",
    "{} judged before": "{#0} 对先前已评判",
    "{} tokens written in {} s": "{#1} 秒内写出 {#0} 个词元",
    "{} pairs, {} instructions each": "{#0} 对，每对 {#1} 条指令",
    "Without text, because:": "没有文字，因为：",
    "Texts that were not taken, because:": "未采用的文字，因为：",
    "Told from the pixels:": "由像素得知：",
    "  {} {}": "  {#0} {1}",
    "waiting": "待定",
    "never labelled": "从未标注",
    "without text": "没有文字",
    "edited": "已修改",
    "accepted by {}": "由 {0} 接受",
    "shown one picture twice, this model sees a difference in most: it invents, take another one":
        "把同一张图像给它看两次，这个模型多半也说有差别：它在编造，请换一个模型",
    "{} pairs have new instructions; {} takes that back": "{#0} 对有了新的指令；{1} 可以撤销",
    "{} pairs have their earlier instructions again": "{#0} 对恢复了之前的指令",

    "sweep: looking at the graph and the folder": "批量捕获：正在查看工作流和文件夹",
    "sweep: {} of {}{}": "批量捕获：{#0} / {#1}{2}",
    ", {} left": "，剩余 {0}",
    "sweep: {} of {} would run{}": "批量捕获：{#1} 张中将运行 {#0} 张{2}",
    "; {} pictures could not be used": "；{#0} 张图像无法使用",
    "sweep: stopped with {} left; queue again to go on": "批量捕获：已停止，还剩 {#0} 张；再次运行即可继续",
    "sweep: done": "批量捕获：完成",
    "sweep: done, but {} of {} gave no pair": "批量捕获：完成，但 {#1} 张中有 {#0} 张没有得到图像对",
    "sweep: done; all {} were captured earlier, and there is nothing new in the folder":
        "批量捕获：完成；{#0} 张此前都已捕获，文件夹中没有新的图像",
    "sweep: none is running": "批量捕获：没有正在运行的任务",
    "sweep: {}": "批量捕获：{0}",
    "sweep: {}. The log has more.": "批量捕获：{0}。日志中有更多信息。",
    "- {}": "- {0}",
    "Write the number of the node into “{}”, and queue again.": "请把节点编号填入“{0}”，然后再次运行。",
    "{} pair{} kept": "{#0} 对已保存",
    "{} there already": "{#0} 对已存在",
    "{} rejected": "{#0} 对被拒绝",
    "{} done earlier": "{#0} 张此前已完成",
    "{} could not be used": "{#0} 张无法使用",
    "{} could not be read": "{#0} 个无法读取",
    "{} failed": "{#0} 个失败",
    "rejected: {}: {}": "已拒绝：{0}：{1}",
    "a sweep is running already. Let it end, or stop it first.": "已有批量捕获在运行。请等它结束，或先停止它。",
    "choose a folder: put pictures into a folder in ComfyUI's input folder, then refresh (R)":
        "请选择文件夹：把图像放进 ComfyUI 的 input 文件夹下的某个文件夹，然后刷新（R）",
    "ComfyUI's input folder has no folder {} with files in it; put pictures there, then refresh (R)":
        "ComfyUI 的 input 文件夹中没有含文件的文件夹 {0}；请把图像放到那里，然后刷新（R）",
    "The workflow has no node that saves or previews a picture, so there is no result to capture. Add one, or {}.":
        "工作流中没有保存或预览图像的节点，因此没有可捕获的结果。请添加一个。",
    "No node that loads a picture from a file has a part in the result{}. Name one with --source NODE.":
        "没有从文件加载图像的节点参与生成结果{0}。请添加一个“加载图像”节点并连接。",
    "The first {} inputs failed in the same way, so it is the workflow that does not work:\n{}\nFix it and run the command again.":
        "前 {#0} 个输入都以同样的方式失败，说明是工作流本身有问题：\n{1}\n请修正后再次运行。",

    "✓ kept as {}": "✓ 已保存为 {0}",
    "there already: {}": "已存在：{0}",
    "there already": "已存在",
    "the same pair is kept as {}": "相同的图像对已保存为 {0}",
    "✗ NOT KEPT, rejected: {}": "✗ 未保存，已被拒绝：{0}",
    "NOT KEPT: {}": "未保存：{0}",
    "rejected: {}": "已拒绝：{0}",
    "{} pair{}": "{#0} 对",
    "{}: {}, {} rejected": "{0}：{1}，{#2} 对被拒绝",
    "{} more being written": "还有 {#0} 对正在写入",
    "{} to train on, {} held out, in {}": "训练 {#0} 对，留出 {#1} 对，位于 {2}",
    "{} of “{}” in memory. Solve this and queue again: what waits is written first.":
        "“{1}”的 {0} 在内存中。解决问题后再次运行：等待中的会先写入。",
    "{} given up, so run them again.": "{0} 已放弃，请重新运行。",
    "Cannot write to {}: it is gone. Connect its disk again.": "无法写入 {0}：它不见了。请重新连接磁盘。",
    "The dataset {} is gone. Queue again to start it anew.": "数据集 {0} 不见了。再次运行即可重新建立。",
    "There is no memory left for more pairs.": "没有内存容纳更多图像对。",
    "the result equals its source (mean difference {} levels, at least {})": "结果与源图相同（平均差 {#0} 级，至少需要 {#1}）",
    "the mask excludes the change: outside it the picture changed by {} levels, inside by {}":
        "遮罩不包含改动：遮罩外改变了 {#0} 级，遮罩内 {#1} 级",
    "the size differs by {}, at most {} ({})": "尺寸相差 {#0}，最多 {#1}（{2}）",
    "the aspect ratio differs by {}, at most {} ({})": "宽高比相差 {#0}，最多 {#1}（{2}）",
    "source {}x{}, result {}x{}": "源图 {#0}x{#1}，结果 {#2}x{#3}",
    "the {} is blank (standard deviation {}, at least {})": "{0} 是单色的（标准差 {#1}，至少 {#2}）",
    "looks almost like the pair {} that was kept before; near_duplicate=off keeps both":
        "与之前保存的图像对 {0} 几乎相同；near_duplicate=off 可保留两者",
    "{} cannot be paired with {}. There must be as many, or one for all.": "{0} 与 {1} 无法配对。数量必须相同，或只有一个供全部使用。",
    "the result is an empty batch; check the node it comes from": "结果是空批次；请检查它来自的节点",
    "this Capture Result got no picture from a Capture Source. Capturing works in the graph that is queued, not in nodes that expand into others: put both markers outside of such a node":
        "这个“捕获结果”没有收到来自“捕获源图”的图像。捕获只在所运行的工作流中有效，不在会展开成其他节点的节点内部：请把两个标记放在这类节点之外",
    "the instruction names {image{}}, but {} picture(s) are marked. Mark it with a Capture Source of index {}, or with a reference of Capture Pair.":
        "指令提到 {image{0}}，但只标记了 {#1} 张图像。请用 index 为 {2} 的“捕获源图”标记它，或作为“捕获图像对”的参考图。",
    "there is no dataset in {} yet. Capture some pairs, then refresh (R).": "{0} 中还没有数据集。请先捕获一些图像对，然后刷新（R）。",
    "the dataset {} has no pairs{}; {}": "数据集 {0} 没有图像对{1}；{2}",
    "capture some first": "请先捕获一些",
    "choose another split": "请选择另一个划分",
    "the dataset {} has no pair {} in this split; choose the split “all”, or clear pair_id and give a number":
        "数据集 {0} 的这个划分中没有图像对 {1}；请选择划分“全部”，或清空图像对 ID 并填写编号",
    "this pair has no source: it was made from text alone": "这一对没有源图：它只由文字生成",
    "this pair has no further pictures": "这一对没有其他图像",

    "two pictures claim the indicator {}: one of {} and one of {}; give one of them another indicator":
        "两张图像都使用指示词 {0}：一张 {1}，一张 {2}；请给其中一张换一个指示词",
    "the instruction names {}, but the unit has {}; connect a picture with that indicator, or change the instruction":
        "指令提到 {0}，但条件单元有 {1}；请连接带有该指示词的图像，或修改指令",
    "no picture at all": "没有任何图像",
    "the instruction does not name {}: the model sees {}, but is not told what for": "指令没有提到 {0}：模型能看到{1}，但不知道用来做什么",
    "the instruction names no picture; {} was put before it": "指令没有提到任何图像；已在前面加上 {0}",
    "{} is to be edited, but the unit has no picture with that indicator; connect one, or choose another picture to edit":
        "要编辑 {0}，但条件单元中没有带该指示词的图像；请连接一张，或选择编辑另一张",
    "the unit has {} pictures; ACE takes at most {}. Disconnect some of them": "条件单元有 {#0} 张图像；ACE 最多接受 {#1} 张。请断开一些",
    "history: the oldest {} of {} left out (at most {} kept)": "历史：{#1} 轮中最早的 {#0} 轮被略去（最多保留 {#2} 轮）",
    "with “auto” this picture gets its word from the Condition Unit it is plugged into: choose a word on Image to build an instruction with it":
        "选择“自动”时，图像从所连接的条件单元获得指示词：要用它构造指令，请在“图像”节点上选择一个词",
    "{} is not an image indicator; write {image}, {image1}, … or {image9}": "{0} 不是图像指示词；请写 {image}、{image1}、… 或 {image9}",
    "{} was scaled from {}x{} to its picture's {}x{}": "{0}已从 {#1}x{#2} 缩放到图像的 {#3}x{#4}",
    "{} is {}x{} and its picture {}x{}, which is another shape; make the mask on this picture, or crop or stretch it to the same shape first":
        "{0}为 {#1}x{#2}，图像为 {#3}x{#4}，形状不同；请在这张图像上画遮罩，或先裁剪或拉伸到相同形状",
    "the mask marks nothing: the whole picture may change, and nothing is blanked": "遮罩没有标记任何区域：整张图像都可能改变，不会清空任何部分",
    "the mask marks nothing, so the original comes back as it was; paint white where the result is to be seen":
        "遮罩没有标记任何区域，因此原图原样返回；请把要显示结果的地方涂白",
    "the mask marks nothing, so there is nothing to give detail back to": "遮罩没有标记任何区域，因此没有可恢复细节的地方",
    "mask {} marks {}; the model may then change the whole picture": "遮罩 {0} 标记了{1}；模型可能会改变整张图像",
    "connect either mask or alpha; {} connected": "请只连接 mask 或 alpha 之一；{0}",
    "neither of them is": "两者都未连接",
    "both are": "两者都已连接",
    "colours were not matched: there is no pixel around the mask to compare on": "未匹配颜色：遮罩周围没有可比较的像素",
    "outpainting adds nothing: the picture already has that size; every side's extension is 0": "扩图没有增加内容：图像已是这个尺寸；各边的扩展都是 0",
    "connect a mask of what may change or, for outpainting, Outpaint's placement": "请连接可修改区域的遮罩；扩图时请连接“扩图”的 placement",
    "no detail was kept: a picture made from text alone has no source to take it from": "未保留细节：只由文字生成的图像没有可取细节的源图",
    "the result is {}x{}, the part of the {}x{} picture that the model was given; Paste Back puts it into the whole":
        "结果为 {#0}x{#1}，是 {#2}x{#3} 图像中交给模型的部分；“贴回”会把它放回整图",
    "{}: the instruction is {} words long; ACE reads about the first {}. Put what matters most first, or shorten it":
        "{0}：指令有 {#1} 个词；ACE 大约读前 {#2} 个。请把最重要的放在前面，或缩短它",
    "{}: the published models cannot read these letters: {}. Write the instruction in English": "{0}：已发布的模型读不懂这些文字：{1}。请用英文写指令",
    "the published models cannot read these letters: {}. Write in English": "已发布的模型读不懂这些文字：{0}。请用英文书写",
    "{} has letters that the text encoder does not know, and does not see: {}{}. Write it in English, which ACE was trained on; a word that was learned as a trigger has to be in Latin letters":
        "{0}含有文本编码器不认识、因而看不到的文字：{1}{2}。请用 ACE 训练所用的英文书写；作为触发词学习的词必须用拉丁字母",
    "{} is {} tokens long and ACE reads {}; this end was left out: «{}»": "{0}有 {#1} 个 token，ACE 只读 {#2} 个；略去了结尾：«{3}»",
    "more tokens than the {} a picture that the model was trained with ({}): the result may come out worse. Choose a smaller resolution":
        "token 数超过模型训练时每张图像的 {#0} 个（{1}）：结果可能变差。请选择更小的分辨率",
    "this round has no instruction: the model is told nothing about what to do": "这一轮没有指令：没有告诉模型要做什么",

    "neither the file nor its name says how large pictures were in its training; 512 x 512 is assumed. If that is wrong, choose another “resolution” in Encode or Sampler, or store it: comfyui-ace convert --max-tokens":
        "文件及其名称都没有说明训练时的图像尺寸；按 512 x 512 处理。如果不对，请在“编码”或“采样器”中选择另一种“分辨率”，或用 comfyui-ace convert --max-tokens 写入文件",
    "there is no text encoder yet. Put t5xxl_fp16.safetensors or another t5xxl file into {}, then refresh (R)":
        "还没有文本编码器。请把 t5xxl_fp16.safetensors 或其他 t5xxl 文件放入 {0}，然后刷新（R）",
    "there is no ACE model yet. {}": "还没有 ACE 模型。{0}",
    "{} is not on this machine. Switch “download” on to fetch it, or place it by hand: {}": "这台机器上没有 {0}。请打开“下载”，或手动放置：{1}",
    "this MODEL is a {}, not an ACE model; load one with “ACE Edit: Load Model”": "这个 MODEL 是 {0}，不是 ACE 模型；请用“ACE Edit：加载模型”加载",
    "this CLIP is a {} without a T5; ACE reads T5 v1.1 XXL: load a t5xxl file with “ACE Edit: Load Text Encoder” or core's CLIPLoader (type pixart)":
        "这个 CLIP 是不含 T5 的 {0}；ACE 使用 T5 v1.1 XXL：请用“ACE Edit：加载文本编码器”或核心的 CLIPLoader（类型 pixart）加载 t5xxl 文件",
    "the {} that this workflow asks for is unknown here; choose another, or update ACE Edit": "此处不认识该工作流要求的 {0}；请另选一个，或更新 ACE Edit",
    "{} needs the {}. Run this line, then {}:\n{}": "{0} 需要 {1}。请运行下面这一行，然后{2}：\n{3}",
    "package{} {}, which {} not installed": "未安装的包 {1}",
    "start ComfyUI anew": "重新启动 ComfyUI",
    "training needs the package accelerate, and peft for LoRAs: pip install them ({})": "训练需要 accelerate 包，LoRA 还需要 peft：请用 pip 安装（{0}）",
    "{} holds values that are no numbers (NaN or infinite). The likely cause is {}": "{0}含有非数值（NaN 或无穷大）。可能的原因是：{1}",
};
