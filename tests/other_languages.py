"""News in seven languages other than English, written for the tests: a report, the same lightly edited, and
the report of another event of the same kind. All names and events are invented.
"""

from __future__ import annotations

# language -> (report, lightly edited, another event)
STORIES = {
    "French": (
        "Un incendie s'est déclaré mardi soir dans l'entrepôt Vasselin, au nord de Brémoncourt, obligeant "
        "les autorités à évacuer 340 habitants du quartier des Tanneurs. Selon le capitaine Hervé Joubrel, "
        "le feu a pris vers 21 h 15 dans un stock de solvants avant de gagner la toiture. Quatre pompiers "
        "ont été légèrement blessés et hospitalisés à Saint-Aubrac. La mairie a ouvert le gymnase Corbeau "
        "pour accueillir les familles, qui pourront rentrer chez elles mercredi à midi.",
        "Mardi soir, un feu s'est déclenché dans l'entrepôt Vasselin, au nord de Brémoncourt, et les "
        "autorités ont dû évacuer 340 riverains du quartier des Tanneurs. D'après le capitaine Hervé "
        "Joubrel, les flammes sont parties vers 21 h 15 d'un stock de solvants avant d'atteindre le toit. "
        "Quatre pompiers, légèrement touchés, ont été conduits à l'hôpital de Saint-Aubrac. Les familles, "
        "accueillies par la mairie au gymnase Corbeau, rentreront chez elles mercredi à midi.",
        "Une explosion a secoué jeudi matin la raffinerie Delmarche, à l'est de Port-Sarlin, et deux "
        "ouvriers ont été transportés à la clinique Montrieux. La directrice Agnès Pellorce a déclaré que "
        "l'accident s'est produit à 6 h 40 lors du redémarrage d'une chaudière. Les 75 employés présents "
        "ont été mis à l'abri et la route de Gavrelle est restée fermée pendant cinq heures. Une enquête "
        "a été confiée à la gendarmerie de Lormeaux.",
    ),
    "German": (
        "Der Stadtrat von Harlenbeck hat am Montag mit 28 zu 17 Stimmen beschlossen, das Freibad Sonnwiese "
        "für 4,6 Millionen Euro zu sanieren. Bürgermeisterin Renate Kolbinger sagte, die Arbeiten sollten "
        "im September beginnen und 14 Monate dauern. Der Förderverein um Jochen Wiesmaier hatte 9.200 "
        "Unterschriften gegen eine Schließung gesammelt. Die Eintrittspreise steigen nach der Öffnung um "
        "80 Cent, Kinder unter sechs Jahren zahlen weiterhin nichts.",
        "Mit 28 gegen 17 Stimmen hat sich der Stadtrat von Harlenbeck am Montag dafür ausgesprochen, das "
        "Freibad Sonnwiese zu erneuern; das kostet 4,6 Millionen Euro. Nach Angaben von Bürgermeisterin "
        "Renate Kolbinger beginnen die Bauarbeiten im September und dauern 14 Monate. Gegen eine Schließung "
        "hatte der Förderverein um Jochen Wiesmaier 9.200 Unterschriften vorgelegt. Der Eintritt wird nach "
        "der Öffnung um 80 Cent teurer, für Kinder unter sechs Jahren bleibt er frei.",
        "Im Landkreis Obertann ist am Freitag eine neue Buslinie zwischen Griesfelden und Neumarch "
        "gestartet. Landrat Detlef Hausinger erklärte, die Linie 63 verkehre künftig alle 20 Minuten und "
        "koste den Kreis jährlich 1,1 Millionen Euro. Der Fahrgastverband um Sabine Troll forderte "
        "zusätzliche Fahrten am Abend. Eine Tageskarte kostet 5,40 Euro, Schüler fahren bis Ende des "
        "Jahres kostenlos.",
    ),
    "Spanish": (
        "La policía de Villarrojas detuvo el sábado a tres personas por el robo de 62 cuadros del museo "
        "Benítez Olmos. La comisaria Pilar Quesada informó de que las obras, valoradas en 3,4 millones de "
        "euros, aparecieron en una nave de Torrelaguna envueltas en mantas. El director Esteban Murillo "
        "dijo que dos lienzos de la pintora Adela Ronsal presentan daños. El museo reabrirá el 12 de marzo "
        "con vigilancia reforzada.",
        "Tres personas fueron arrestadas el sábado por la policía de Villarrojas, acusadas de robar 62 "
        "cuadros del museo Benítez Olmos. Según la comisaria Pilar Quesada, las pinturas, tasadas en 3,4 "
        "millones de euros, estaban en una nave de Torrelaguna, tapadas con mantas. Dos lienzos de Adela "
        "Ronsal han sufrido daños, explicó el director Esteban Murillo. El museo volverá a abrir el 12 de "
        "marzo con más vigilancia.",
        "Un tribunal de Puerto Calasa condenó el lunes a nueve años de cárcel al empresario Ramiro Luengo "
        "por estafar a 418 inversores. La fiscal Teresa Aldunate calculó las pérdidas en 27 millones de "
        "euros y pidió embargar dos fincas en Cerromonte. El abogado Julián Sacristán anunció que "
        "recurrirá la sentencia. Las víctimas, agrupadas en la asociación Ahorro Limpio, esperan cobrar "
        "antes de 2028.",
    ),
    "Russian": (
        "В Зареченске в среду открыли новый мост через реку Ольшанку, который строили 26 месяцев. Мэр "
        "Виктор Лапшин сообщил, что проект обошёлся в 1,8 миллиарда рублей и сократит путь до Верхней "
        "Поляны на 40 минут. Инженер Марина Студенцова рассказала, что опоры рассчитаны на ледоход и "
        "нагрузку в 80 тонн. Проезд грузовиков разрешат с 15 мая, а автобус номер 12 изменит маршрут уже "
        "в понедельник.",
        "Новый мост через реку Ольшанку открылся в среду в Зареченске, его возводили 26 месяцев. По "
        "словам мэра Виктора Лапшина, на проект потратили 1,8 миллиарда рублей, а дорога до Верхней "
        "Поляны станет короче на 40 минут. Опоры выдержат ледоход и нагрузку в 80 тонн, отметила инженер "
        "Марина Студенцова. Грузовики пустят с 15 мая, автобус номер 12 поедет по новому маршруту уже в "
        "понедельник.",
        "В Каменногорске в пятницу закрыли на ремонт драматический театр имени Ершова. Директор Олег "
        "Барсуков заявил, что работы продлятся 18 месяцев и обойдутся в 640 миллионов рублей. Архитектор "
        "Нина Колядко пообещала сохранить лепнину и занавес 1912 года. Спектакли труппы перенесут в дом "
        "культуры Металлург, билеты подешевеют на 15 процентов.",
    ),
    "Arabic": (
        "افتتحت بلدية الزهيرة يوم الأحد محطة جديدة لتحلية المياه على شاطئ القرين بتكلفة 72 مليون دينار. "
        "وقال رئيس البلدية سالم الهجرسي إن المحطة ستزود 130 ألف نسمة بالماء وستقلل الاعتماد على آبار وادي "
        "مرجان. وأوضحت المهندسة ليلى البدراني أن الطاقة الشمسية توفر 45 بالمئة من حاجة المضخات. ومن المقرر "
        "أن تبدأ المرحلة الثانية في أكتوبر المقبل.",
        "دشنت بلدية الزهيرة الأحد محطة لتحلية المياه على شاطئ القرين كلفت 72 مليون دينار. وذكر رئيس البلدية "
        "سالم الهجرسي أن المحطة تمد 130 ألف نسمة بالماء وتخفف الاعتماد على آبار وادي مرجان. وبينت المهندسة "
        "ليلى البدراني أن 45 بالمئة من حاجة المضخات تأتي من الطاقة الشمسية. وتبدأ المرحلة الثانية في أكتوبر "
        "المقبل كما هو مقرر.",
        "أعلنت شركة النخيل للطيران يوم الثلاثاء إلغاء رحلاتها إلى مدينة صفوان بسبب عطل في نظام الحجز. وقالت "
        "المتحدثة هالة الكردي إن 2400 مسافر تأثروا وإن الشركة ستعيد ثمن التذاكر خلال 10 أيام. وطالبت جمعية "
        "المستهلك برئاسة نبيل الشاذلي بتعويض إضافي. وتتوقع الشركة استئناف الرحلات مساء الخميس.",
    ),
    "Chinese": (
        "青岚市教育局周四宣布，从九月起全市八十六所小学将推迟上课时间至八点四十分。局长贺文澜表示，调查显示"
        "七成学生睡眠不足，新安排先试行一年。家长代表秦若溪担心双职工家庭接送困难，市政府因此拨款三千二百万元"
        "用于早托服务。云栖路小学校长邵明远说，学校食堂将从七点二十分开放，志愿者负责照看。",
        "从九月起，青岚市八十六所小学上课时间将推迟到八点四十分，市教育局周四公布了这一决定。局长贺文澜说，"
        "调查发现七成学生睡眠不足，新安排先试行一年。对双职工家庭接送困难的担心由家长代表秦若溪提出，市政府为此"
        "拨款三千二百万元办早托服务。云栖路小学校长邵明远介绍，食堂七点二十分开放，由志愿者照看孩子。",
        "临沙港务集团周一通报，一艘货轮在北堤外搁浅，船上二十二名船员全部获救。海事处处长罗启航称，事故发生在"
        "凌晨三点零五分，当时风力达到九级。救助船海鲸号用六小时把货轮拖离浅滩，约四十吨燃油没有泄漏。保险公司"
        "代表叶知秋表示损失仍在评估之中。",
    ),
    "Japanese": (
        "霧ヶ丘市は金曜日、老朽化した中央図書館を建て替える計画を発表した。総工費は四十八億円で、来年六月に着工"
        "し、二年半後の開館を目指す。市長の葛西真理子氏は、蔵書を三十万冊に増やし、夜九時まで開くと説明した。"
        "市民団体代表の沼田誠一氏は、松並木の伐採を見直すよう求める署名五千二百人分を提出した。",
        "老朽化した中央図書館の建て替え計画を、霧ヶ丘市が金曜日に公表した。総工費四十八億円で来年六月に着工し、"
        "開館は二年半後を目指すという。葛西真理子市長は蔵書を三十万冊に増やし、夜九時まで開館すると述べた。松並木"
        "の伐採見直しを求め、市民団体の沼田誠一代表は五千二百人分の署名を提出している。",
        "港北電鉄は水曜日、波止場線の始発から運転を見合わせた。信号装置に雷が落ちたためで、約一万八千人に影響が"
        "出た。広報担当の早瀬由香里氏によると、復旧には十一時間かかった。乗客の男性は、代替バスが一時間に二本しか"
        "来なかったと話した。同社は定期券の払い戻しに応じる。",
    ),
}
