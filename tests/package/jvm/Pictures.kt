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
        when (arguments[0]) {
            "preprocess" -> preprocess(arguments[1].toInt(), File(arguments[2]), File(arguments[3]))
            else -> println(selfTest(arguments.drop(1).map(::File)))
        }
    }

    /** Records of package/languages.py to their results, and the seconds that took into seconds.txt. */
    private fun preprocess(warmUps: Int, cases: File, results: File) {
        val data = ByteBuffer.wrap(cases.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
        val pictures = mutableListOf<Picture>()
        while (data.hasRemaining()) {
            val head = List(6) { data.getInt() } // kind 0, height, width, channels, height and width of the input
            val outChannels = data.get().toInt()
            val pixels = ByteArray(head[1] * head[2] * head[3]).also { data.get(it) }
            pictures += Picture(ByteRows(pixels, head[1], head[2], head[3]), head[4], head[5], outChannels)
        }
        repeat(warmUps) { pictures[it % pictures.size].int8() }
        val started = System.nanoTime()
        val made = pictures.map { it.int8() }
        File(results.absoluteFile.parentFile, "seconds.txt").writeText("${(System.nanoTime() - started) / 1e9}")
        results.outputStream().use { out -> made.forEach(out::write) }
    }

    private class Picture(val rows: ByteRows, val height: Int, val width: Int, val channels: Int) {
        fun int8(): ByteArray = Preprocess.int8(rows, height, width, channels)
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
