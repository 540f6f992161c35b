package edgedistill.pictures_student

import android.content.Context
import android.graphics.Bitmap
import fake.Answers
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONArray
import org.json.JSONObject

/** Runs the module of a student for pictures on a desktop's JVM; what it prints is JSON. */
object Harness {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val files = arguments.drop(1).map(::File)
        println(if (arguments[0] == "preprocess") preprocess(files[0], arguments[2], arguments[3]) else selfTest(files))
    }

    /** Each NAME.raw (int32 height, width, channels; pixels) to NAME.int8, of a model input of HxWxC. */
    private fun preprocess(folder: File, size: String, warmUps: String): JSONObject {
        val (height, width, channels) = size.split("x").map(String::toInt)
        val names = folder.list()!!.filter { it.endsWith(".raw") }.sorted()
        val images = names.map { rows(File(folder, it).readBytes()) }
        repeat(warmUps.toInt()) { Preprocess.int8(images[it % images.size], height, width, channels) }
        val started = System.nanoTime()
        val made = images.map { Preprocess.int8(it, height, width, channels) }
        val seconds = (System.nanoTime() - started) / 1e9
        names.zip(made) { name, bytes -> File(folder, name.removeSuffix(".raw") + ".int8").writeBytes(bytes) }
        return JSONObject().put("inputs", made.size).put("seconds", seconds)
    }

    private fun rows(bytes: ByteArray): ByteRows {
        val head = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
        return ByteRows(bytes.copyOfRange(12, bytes.size), head.getInt(0), head.getInt(4), head.getInt(8))
    }

    /** The module's self-test in both runtimes (faked), a picture's labels, and what wrong answers are called. */
    private fun selfTest(roots: List<File>): JSONObject {
        val context = Context(*roots.toTypedArray())
        val contract = Student.open(context, LiteRt()).contract
        val read = { name: String -> context.assets.open("pictures_student/$name").use { it.readBytes() } }
        val inputs = read("golden-inputs.bin").toList().chunked(contract.inputSize).map { it.toByteArray() }
        val answers = read("golden-answers.bin").toList().chunked(contract.labels.size).map { it.toByteArray() }
        inputs.zip(answers, Answers::tell)
        val result = JSONObject().put("labels", JSONArray(contract.labels))
        for (runtime in listOf(LiteRt(threads = 2), OnnxRuntime())) {
            Student.open(context, runtime).use { student ->
                val (height, width, channels) = contract.raw.last().shape
                val pixels = IntArray(height * width)
                val source = ByteRows(read(contract.raw.last().file), height, width, channels)
                val row = IntArray(width)
                for (y in 0 until height) source.read(y, row).also { row.copyInto(pixels, y * width) }
                val found = student.classify(Bitmap(Bitmap.Config.HARDWARE, width, pixels), contract.labels.size)
                val listed = found.map { JSONArray(listOf(it.index, it.label, it.logit, it.probability)) }
                result.put(runtime.format, report(student.selfTest()).put("predictions", JSONArray(listed)))
            }
        }
        answers[0][0] = (answers[0][0].toInt() xor 1).toByte()
        Answers.tell(inputs[0], answers[0])
        return result.put("wrong", report(Student.open(context, LiteRt()).use { it.selfTest() }))
    }

    private fun report(report: SelfTestReport): JSONObject =
        JSONObject()
            .put("passed", report.passed)
            .put("vectors", report.vectors)
            .put("raw", report.rawInputs)
            .put("worst", report.worstDifference)
            .put("text", report.toString())
}
